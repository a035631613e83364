{#- What a missing optional field gets, from the seed. -#}
{% macro default_value(field) -%}
    (select default_value from {{ ref('default_values') }} where field = '{{ field }}')
{%- endmacro %}
