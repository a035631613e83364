{#- Whether text has no characters beyond ASCII: then it has as many bytes as characters. -#}
{% macro is_ascii(expression) -%}
    {{ adapter.dispatch('is_ascii')(expression) }}
{%- endmacro %}

{% macro default__is_ascii(expression) -%}
    octet_length({{ expression }}) = length({{ expression }})
{%- endmacro %}
