{#- Text without surrounding white space; blank text is missing. -#}
{% macro clean_text(expression) -%}
    nullif(trim({{ expression }}, ' ' || chr(9) || chr(10) || chr(13)), '')
{%- endmacro %}
