{#- The newest successful load of each source for the day; no rows before the first load. -#}
{% macro last_loads() -%}
    {%- set outcomes = adapter.get_relation(target.database, 'metadata', 'load_outcomes') if execute -%}
    {%- if outcomes is not none and outcomes -%}
    select
        source,
        load_id,
        location
    from (
        select
            *,
            row_number() over (partition by source order by finished_at desc) as recency
        from {{ source('metadata', 'load_outcomes') }}
        where load_date = {{ load_date() }} and status = 'loaded'
    ) as ranked
    where recency = 1
    {%- else -%}
    select
        cast(null as {{ dbt.type_string() }}) as source,
        cast(null as {{ dbt.type_string() }}) as load_id,
        cast(null as {{ dbt.type_string() }}) as location
    where 1 = 0
    {%- endif %}
{%- endmacro %}
