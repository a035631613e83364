{#- The text when it is a JSON object, otherwise null. -#}
{% macro json_object_or_null(expression) -%}
    {{ adapter.dispatch('json_object_or_null')(expression) }}
{%- endmacro %}

{% macro default__json_object_or_null(expression) -%}
    case when json_valid({{ expression }}) and json_type({{ expression }}) = 'OBJECT' then {{ expression }} end
{%- endmacro %}

{% macro postgres__json_object_or_null(expression) -%}
    case
        when pg_input_is_valid({{ expression }}, 'jsonb') and json_typeof(cast({{ expression }} as json)) = 'object'
            then {{ expression }}
    end
{%- endmacro %}
