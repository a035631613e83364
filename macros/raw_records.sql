{#-
    The day's raw records of a source, with the fields that staging asks for. A table that was never loaded gives no rows,
    a field that never came gives nulls: one missing source must not stop the others.
-#}
{% macro raw_records(source_name, table_name, fields) -%}
    {%- set raw = source(source_name, table_name) -%}
    {%- set found = [] -%}
    {%- if execute -%}
        {%- set existing = adapter.get_relation(raw.database, raw.schema, raw.identifier) -%}
        {%- if existing is not none -%}
            {%- for column in adapter.get_columns_in_relation(existing) -%}
                {%- do found.append(column.name) -%}
            {%- endfor -%}
        {%- endif -%}
    {%- endif -%}
    {%- set text_columns = ['source_object', 'reject_reason'] + fields -%}
    select
        {{ 'load_date' if found else 'cast(null as date) as load_date' }},
        {{ 'source_row' if found else 'cast(null as bigint) as source_row' }},
        {%- for column in text_columns %}
        {{ adapter.quote(column) if column in found else 'cast(null as ' ~ dbt.type_string() ~ ') as ' ~ adapter.quote(column) }}
        {{- ',' if not loop.last }}
        {%- endfor %}
    {%- if found %}
    from {{ raw }}
    where load_date = {{ load_date() }}
    {%- else %}
    where 1 = 0
    {%- endif %}
{%- endmacro %}
