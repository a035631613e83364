{#-
    A query for a relation with fields of its JSON documents beside its columns, as text, and `is_json_object`. `fields` maps a
    column to the path of its value, the outermost key first. The document is parsed once.

    What engines see differently is settled here:
    - only a strict JSON object counts (RFC 8259: no NaN, no comma at the end), whose text every engine can hold (no NUL, no
      half of a surrogate pair), in which no object has a key twice (engines take the first or the last), and with at most 2,000
      brackets when it is longer than 4,000 bytes (an engine's parser may run out of stack otherwise). Anything else: all fields null.
    - a number is the text that was sent (12.50, 1e5), however large;
    - an object or an array where text is expected gives its opening bracket, which no field takes;
    - JSON null and an absent key give null.
-#}
{% macro json_fields(relation, document, fields) -%}
    {{ adapter.dispatch('json_fields')(relation, document, fields) }}
{%- endmacro %}

{#- ---------------------------------------------------------------- DuckDB -#}

{% macro json_path(path) -%}
    '${% for key in path %}."{{ key }}"{% endfor %}'
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

{% macro json_document_or_null(document) -%}
    {#- outside strings there is no such text in strict JSON; strings become 0 before the second look -#}
    {%- set lenient = ',[ \\t\\r\\n]*[}\\]]|(?i:nan|inf)' -%}
    {%- set without_strings -%}
        regexp_replace({{ document }}, '"(?:[^"\\]|\\.)*"', '0', 'g')
    {%- endset -%}
    case
        when strlen({{ document }}) > 4000
            and strlen({{ document }}) - strlen(replace(replace({{ document }}, '{', ''), '[', '')) > 2000 then null
        when json_valid({{ document }}) then case
            when json_type({{ document }}) <> 'OBJECT' then null
            when contains({{ document }}, '\u0000') and regexp_matches({{ document }}, '(^|[^\\])(\\\\)*\\u0000') then null
            when regexp_matches({{ document }}, '{{ lenient }}') and regexp_matches({{ without_strings }}, '{{ lenient }}') then null
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

{#- ---------------------------------------------------------------- PostgreSQL -#}

{% macro postgres__json_fields(relation, document, fields) -%}
    {%- set keys, nested = [], [] -%}
    {%- for path in fields.values() -%}
        {%- if path[0] not in keys %}{% do keys.append(path[0]) %}{% endif -%}
        {%- if path | length > 1 %}{% do nested.append(path[0]) %}{% endif -%}
    {%- endfor %}
    select
        received.*,
        received.json_document is not null as is_json_object
        {%- for column, path in fields.items() %}
        {%- set value -%}
            document."{{ path[0] }}"{% if path[0] in nested %} #>> '{ {{- path[1:] | join(',') -}} }'{% endif %}
        {%- endset %},
        case
            -- a string may begin with a bracket too
            when left({{ value }}, 1) in ('{', '[')
                and json_typeof(cast(received.json_document as json) #> '{ {{- path | join(',') -}} }') <> 'string'
                then left({{ value }}, 1)
            else {{ value }}
        end as {{ column }}
        {%- endfor %}
    from (
        select
            *,
            {{ postgres_json_document_or_null(document) }} as json_document
        from {{ relation }}
        {{ computed_once() }}
    ) as received
    left join lateral json_to_record(cast(received.json_document as json)) as document (
        {%- for key in keys %}
        "{{ key }}" {{ 'json' if key in nested else 'text' }}{{ ',' if not loop.last }}
        {%- endfor %}
    ) on true
{%- endmacro %}

{% macro postgres_json_document_or_null(document) -%}
    case
        when octet_length({{ document }}) > 4000
            and octet_length({{ document }}) - octet_length(replace(replace({{ document }}, '{', ''), '[', '')) > 2000 then null
        -- jsonb is the type that looks into escapes
        when position('\u' in {{ document }}) > 0 and not pg_input_is_valid({{ document }}, 'jsonb') then null
        when {{ document }} is json object with unique keys then {{ document }}
    end
{%- endmacro %}
