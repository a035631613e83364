{#- The newest snapshot of a reference table up to the day; no rows when the table was never loaded. -#}
{% macro raw_snapshot(source_name, table_name, fields) -%}
    {%- set raw = source(source_name, table_name) -%}
    {%- set existing = adapter.get_relation(raw.database, raw.schema, raw.identifier) if execute -%}
    {%- if existing is not none and existing -%}
    select load_date, {{ fields | join(', ') }}
    from {{ raw }}
    where load_date = (select max(load_date) from {{ raw }} where load_date <= {{ load_date() }})
    {%- else -%}
    select {{ load_date() }} as load_date{% for field in fields %}, null as {{ field }}{% endfor %}
    where 1 = 0
    {%- endif %}
{%- endmacro %}
