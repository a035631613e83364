{#- Text to order by, by its bytes: an order that is the same in every database, whatever its language. -#}
{% macro in_byte_order(expression) -%}
    {{ adapter.dispatch('in_byte_order')(expression) }}
{%- endmacro %}

{% macro default__in_byte_order(expression) -%}
    {{ expression }}
{%- endmacro %}
