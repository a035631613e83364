{#-
    The newest snapshot of a reference table up to the day; no rows when the table was never loaded. Its date is looked up here and
    put in as a literal: nearly always it is the day itself, and then the history need not be read.
-#}
{% macro raw_snapshot(source_name, table_name, fields) -%}
    {%- set raw = source(source_name, table_name) -%}
    {%- set existing = adapter.get_relation(raw.database, raw.schema, raw.identifier) if execute -%}
    {%- if existing is not none and existing -%}
    {%- set day = load_date() -%}
    {%- if run_query('select count(*) from ' ~ raw ~ ' where load_date = ' ~ day).columns[0].values()[0] == 0 -%}
        {%- set newest = run_query('select max(load_date) from ' ~ raw ~ ' where load_date < ' ~ day).columns[0].values()[0] -%}
        {%- set day = day if newest is none else "cast('" ~ newest ~ "' as date)" -%}
    {%- endif -%}
    select load_date{% for field in fields %}, {{ adapter.quote(field) }}{% endfor %}
    from {{ raw }}
    where load_date = {{ day }}
    {%- else -%}
    select {{ load_date() }} as load_date{% for field in fields %}, cast(null as {{ dbt.type_string() }}) as {{ adapter.quote(field) }}{% endfor %}
    where 1 = 0
    {%- endif %}
{%- endmacro %}
