{#-
    A cast that gives null instead of an error. The accepted form is ours, not the engine's, so that every engine accepts the
    same text and makes the same of it:
    - integers: up to 18 digits (bigint) or 9 (integer), with or without a sign;
    - numerics: up to 15 digits before the point and 2 after it, more of them only if they are zeros;
    - timestamps: ISO 8601 with seconds, years 1000 to 2999, up to 6 digits of a second, zones up to 14:59; UTC without a zone.
      There is no second 60 and no hour 24.
-#}
{% macro try_cast(expression, type) -%}
    {%- set forms = {
        'bigint': '^[+-]?[0-9]{1,18}$',
        'integer': '^[+-]?[0-9]{1,9}$',
        'numeric(18, 2)': '^[+-]?[0-9]{1,15}([.][0-9]{1,2}0{0,30})?$',
        'timestamptz': '^[12][0-9]{3}-[01][0-9]-[0-3][0-9][T ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]'
            ~ '([.][0-9]{1,6})?(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])?$',
    } -%}
    {%- if type not in forms -%}
        {{ exceptions.raise_compiler_error("try_cast has no accepted form for '" ~ type ~ "', only for " ~ forms.keys() | join(', ')) }}
    {%- endif -%}
    {{ adapter.dispatch('try_cast')(expression, type, forms[type]) }}
{%- endmacro %}

{% macro default__try_cast(expression, type, form) -%}
    case when regexp_matches({{ expression }}, '{{ form }}') then try_cast({{ expression }} as {{ type }}) end
{%- endmacro %}
