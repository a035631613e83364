{#-
    The event ids published in the days before the one being built. Not a ref: events come after this in the graph, and what is
    read here are other days' partitions.
-#}
{% macro published_event_ids(lookback_days) -%}
    {%- set events = adapter.get_relation(target.database, 'analytics', 'events') if execute -%}
    {%- if events is not none and events -%}
    select event_id
    from {{ events }}
    where load_date >= {{ load_date() }} - {{ lookback_days | int }} and load_date < {{ load_date() }}
    {%- else -%}
    select cast(null as {{ dbt.type_string() }}) as event_id
    where 1 = 0
    {%- endif %}
{%- endmacro %}
