{#- What DuckDB does in a way of its own; a macro of the same name without the prefix says what each is for. -#}

{% macro duckdb__is_ascii(expression) -%}
    strlen({{ expression }}) = length({{ expression }})
{%- endmacro %}

{% macro duckdb__json_fields(relation, document, fields) -%}
    {%- set paths -%}
        [{% for path in fields.values() %}{{ json_path(path) }}{{ ', ' if not loop.last }}{% endfor %}]
    {%- endset -%}
    select
        * exclude (json_document, json_texts, json_types),
        json_document is not null as is_json_object
        {%- for column, path in fields.items() %},
        case json_types[{{ loop.index }}]
            when 'DOUBLE' then {{ json_number_as_sent('json_document', path) }}
            -- of integers only this one is not written as it was sent
            when 'BIGINT' then case json_texts[{{ loop.index }}] when '0' then '-0' else json_texts[{{ loop.index }}] end
            when 'OBJECT' then '{'
            when 'ARRAY' then '['
            else json_texts[{{ loop.index }}]
        end as {{ column }}
        {%- endfor %}
    from (
        select
            *,
            json_extract_string(json_document, {{ paths }}) as json_texts,
            json_type(json_document, {{ paths }}) as json_types
        from (
            select
                *,
                {{ json_document_or_null(document) }} as json_document
            from {{ relation }}
        )
    )
{%- endmacro %}

{% macro json_path(path) -%}
    '${% for key in path %}."{{ key }}"{% endfor %}'
{%- endmacro %}

{#- A valid document that strict JSON does not know: outside strings there is no such text; they become 0 before the second look. -#}
{% macro is_lenient_json(document) -%}
    {%- set lenient = ',[ \\t\\r\\n]*[}\\]]|(?i:nan|inf)' -%}
    {%- set without_strings -%}
        regexp_replace({{ document }}, '"(?:[^"\\]|\\.)*"', '0', 'g')
    {%- endset -%}
    regexp_matches({{ document }}, '{{ lenient }}') and regexp_matches({{ without_strings }}, '{{ lenient }}')
{%- endmacro %}

{% macro duckdb__try_cast(expression, type, form) -%}
    {%- if type == 'json' -%}
        case
            when json_valid({{ expression }}) and not ({{ is_lenient_json(expression) }})
                then cast({{ expression }} as json)
        end
    {%- else -%}
        {{ default__try_cast(expression, type, form) }}
    {%- endif -%}
{%- endmacro %}

{% macro json_document_or_null(document) -%}
    case
        when strlen({{ document }}) > 4000
            and strlen({{ document }}) - strlen(replace(replace({{ document }}, '{', ''), '[', '')) > 2000 then null
        when json_valid({{ document }}) then case
            when json_type({{ document }}) <> 'OBJECT' then null
            when contains({{ document }}, '\u0000') and regexp_matches({{ document }}, '(^|[^\\])(\\\\)*\\u0000') then null
            when {{ is_lenient_json(document) }} then null
            when len(list_distinct(json_keys({{ document }}))) <> len(json_keys({{ document }})) then null
            when contains(substr({{ document }}, 2), '{')
                and len(list_filter(
                    json_keys({{ document }}, '$..*'), lambda keys: len(list_distinct(keys)) <> len(keys)
                )) > 0 then null
            else {{ document }}
        end
    end
{%- endmacro %}

{#-
    DuckDB reads 12.50 as a double and would write 12.5. Where the key stands once, its number is what follows it; otherwise all
    numbers are put in quotes first. No control character can stand in JSON, so two of them can mark the places.
-#}
{% macro json_number_as_sent(document, path) -%}
    case
        when not contains({{ document }}, '\u')
            and strlen({{ document }}) - strlen(replace({{ document }}, '"{{ path[-1] }}"', '')) = {{ path[-1] | length + 2 }}
            then regexp_extract({{ document }}, '"{{ path[-1] }}"[ \t\r\n]*:[ \t\r\n]*(-?[0-9][-+.0-9eE]*)', 1)
        else json_extract_string(
            replace(replace(replace(
                regexp_replace({{ document }}, '("(?:[^"\\]|\\.)*")|(-?[0-9][-+.0-9eE]*)', '\1' || chr(1) || '\2' || chr(2), 'g'),
                chr(1) || chr(2), ''
            ), chr(1), '"'), chr(2), '"'),
            {{ json_path(path) }}
        )
    end
{%- endmacro %}

{% macro duckdb__whole_quotient(dividend, divisor) -%}
    ({{ dividend }}) // ({{ divisor }})
{%- endmacro %}
