{#-
    The records of the day that earlier runs have quarantined, as the published table holds them. Not a ref: that table comes
    after this in the graph, and what is read here is what it held before. No rows before the first run.
-#}
{% macro quarantined_before() -%}
    {%- set published = adapter.get_relation(target.database, 'quarantine', 'quarantined_records') if execute -%}
    {%- if published is not none and published -%}
    {%- set columns = adapter.get_columns_in_relation(published) | map(attribute='name') | list -%}
    select
        load_date,
        entity,
        source,
        source_object,
        source_row,
        record_key,
        reasons,
        payload,
        run_id,
        {{ 'replayed_by_run' if 'replayed_by_run' in columns else 'cast(null as ' ~ dbt.type_string() ~ ') as replayed_by_run' }}
    from {{ published }}
    where load_date = {{ load_date() }}
    {%- else -%}
    select
        cast(null as date) as load_date,
        cast(null as bigint) as source_row,
        {%- for column in ['entity', 'source', 'source_object', 'record_key', 'reasons', 'payload', 'run_id', 'replayed_by_run'] %}
        cast(null as {{ dbt.type_string() }}) as {{ column }}{{ ',' if not loop.last }}
        {%- endfor %}
    where 1 = 0
    {%- endif %}
{%- endmacro %}
