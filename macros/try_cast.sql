{#-
    A cast that gives null instead of an error. The accepted form is ours, not the engine's, so that every engine accepts the
    same text: integers of up to 18 digits, numerics of up to 15 digits before the point and 2 after it (more only if they are
    zeros), ISO 8601 timestamps (without a zone they are UTC).
-#}
{% macro try_cast(expression, type) -%}
    {%- set forms = {
        'bigint': '^[+-]?[0-9]{1,18}$',
        'integer': '^[+-]?[0-9]{1,9}$',
        'numeric(18, 2)': '^[+-]?[0-9]{1,15}([.][0-9]{1,2}0*)?$',
        'timestamptz': '^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})?$',
    } -%}
    {%- if type not in forms -%}
        {{ exceptions.raise_compiler_error("try_cast has no accepted form for '" ~ type ~ "', only for " ~ forms.keys() | join(', ')) }}
    {%- endif -%}
    {{ adapter.dispatch('try_cast')(expression, type, forms[type]) }}
{%- endmacro %}

{% macro default__try_cast(expression, type, form) -%}
    case when regexp_matches({{ expression }}, '{{ form }}') then try_cast({{ expression }} as {{ type }}) end
{%- endmacro %}

{% macro postgres__try_cast(expression, type, form) -%}
    case
        when {{ expression }} ~ '{{ form }}' and pg_input_is_valid({{ expression }}, '{{ type }}')
            then cast({{ expression }} as {{ type }})
    end
{%- endmacro %}
