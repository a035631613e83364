{#- How many names a comma-separated list holds; null holds none. -#}
{% macro count_listed(expression) -%}
    coalesce(length({{ expression }}) - length(replace({{ expression }}, ',', '')) + 1, 0)
{%- endmacro %}
