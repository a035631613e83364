{#- A field of a JSON object as text; path is a list of keys, outermost first. JSON null and an absent key give null. -#}
{% macro json_text(expression, path) -%}
    {{ adapter.dispatch('json_text')(expression, path) }}
{%- endmacro %}

{% macro default__json_text(expression, path) -%}
    json_extract_string({{ expression }}, '${% for key in path %}."{{ key }}"{% endfor %}')
{%- endmacro %}

{% macro postgres__json_text(expression, path) -%}
    cast({{ expression }} as json) #>> '{ {{- path | join(',') -}} }'
{%- endmacro %}
