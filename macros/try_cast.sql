{#-
    A cast that gives null instead of an error. The accepted form is ours, not the engine's, so that every engine accepts the
    same text and makes the same of it:
    - integers: up to 18 digits (bigint), 9 (integer) or 4 (smallint), with or without a sign;
    - numeric(p, s): up to p - s - 1 digits before the point and s after it, more of them only if they are zeros;
    - double: a decimal number, with or without an exponent;
    - boolean: true, false, t, f, yes, no, y, n, 1, 0, in any case;
    - dates: ISO 8601, years 1000 to 2999;
    - timestamps: ISO 8601 with seconds, years 1000 to 2999, up to 6 digits of a second. There is no second 60 and no hour 24;
    - timestamps with a zone: Z or an offset up to 14:59 (+01:00, +0100, +01). Without one the time is of `timezone`, and if none
      is declared it can't be read; a timestamp without a zone is one whose text has none;
    - json: a JSON value.
-#}
{% macro try_cast(expression, type, timezone=none) -%}
    {%- set date = '[12][0-9]{3}-[01][0-9]-[0-3][0-9]' -%}
    {%- set time = date ~ '[T ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,6})?' -%}
    {%- set forms = {
        'bigint': '^[+-]?[0-9]{1,18}$',
        'integer': '^[+-]?[0-9]{1,9}$',
        'smallint': '^[+-]?[0-9]{1,4}$',
        'double precision': '^[+-]?([0-9]{1,250}([.][0-9]{0,250})?|[.][0-9]{1,250})([eE][+-]?[0-9]{1,3})?$',
        'boolean': '^([tT]([rR][uU][eE])?|[fF]([aA][lL][sS][eE])?|[yY]([eE][sS])?|[nN][oO]?|[01])$',
        'date': '^' ~ date ~ '$',
        'timestamp': '^' ~ time ~ '$',
        'timestamptz': '^' ~ time ~ '(Z|[+-](0[0-9]|1[0-4])(:?[0-5][0-9])?)$',
        'json': none,
    } -%}
    {%- set type = standard_type(type) -%}
    {%- set decimal = modules.re.fullmatch('numeric\((\d+), (\d+)\)', type) -%}
    {%- if decimal -%}
        {%- set places = decimal.group(2) | int -%}
        {%- set digits = [decimal.group(1) | int - places - 1, 1] | max -%}
        {%- set fraction = '([.][0-9]{1,' ~ places ~ '}0{0,30})?' if places else '([.]0{1,30})?' -%}
        {%- do forms.update({type: '^[+-]?[0-9]{1,' ~ digits ~ '}' ~ fraction ~ '$'}) -%}
    {%- endif -%}
    {%- if type not in forms -%}
        {{ exceptions.raise_compiler_error(
            "'" ~ type ~ "' is no type that a text can be read as, only varchar, numeric(p, s), " ~ forms.keys() | join(', ')
        ) }}
    {%- endif -%}
    {%- set value = adapter.dispatch('try_cast')(expression, type, forms[type]) -%}
    {%- if type == 'timestamptz' and timezone -%}
        {%- set local = adapter.dispatch('try_cast')(expression, 'timestamp', forms['timestamp']) -%}
        {%- set value = 'coalesce(' ~ value ~ ', ' ~ local ~ " at time zone '" ~ timezone ~ "')" -%}
    {%- endif -%}
    {{ value }}
{%- endmacro %}

{#- The one name of a type that has several. -#}
{% macro standard_type(type) -%}
    {%- set names = {
        'int8': 'bigint', 'int': 'integer', 'int4': 'integer', 'int2': 'smallint', 'bool': 'boolean', 'double': 'double precision',
        'float8': 'double precision', 'timestamp with time zone': 'timestamptz', 'timestamp without time zone': 'timestamp',
        'jsonb': 'json',
    } -%}
    {%- set type = modules.re.sub('\s*,\s*', ', ', type | lower | trim) | replace('decimal', 'numeric') | replace('numeric (', 'numeric(') -%}
    {{ return(names.get(type, type)) }}
{%- endmacro %}

{% macro is_text_type(type) -%}
    {{ return(modules.re.fullmatch('(varchar|text|string|char|character varying)( ?\(\d+\))?', type) is not none) }}
{%- endmacro %}

{% macro default__try_cast(expression, type, form) -%}
    case
        when {% if form %}regexp_matches({{ expression }}, '{{ form }}'){% else %}true{% endif %}
        {%- if type == 'double precision' %}
            -- neither too large to be told from infinity, nor too small to be told from 0
            and isfinite(try_cast({{ expression }} as double precision))
            and (try_cast({{ expression }} as double precision) <> 0 or not regexp_matches({{ expression }}, '^[^eE]*[1-9]'))
        {%- endif %}
            then try_cast({{ expression }} as {{ type }})
    end
{%- endmacro %}
