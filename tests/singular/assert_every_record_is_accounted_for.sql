-- per source: what raw holds = what is published + quarantined + removed as a duplicate; each counted where it lies,
-- raw records in raw and not in staging, where a filter would hide them
{{ config(
    severity='error',
    meta={'dimension': 'conservation', 'remedy': 'escalate'},
    description='Conservation: a record is published, quarantined or a duplicate, and never vanishes.',
) }}

with raw_records as (
    {% for model in var('event_models') %}
    -- depends_on: {{ ref(model) }}
    {%- if execute %}
    {%- set schema, table = raw_table_of(model) %}
    select
        '{{ source_of(model) }}' as source,
        count(*) as count_records
    from ({{ raw_records(schema, table, []) }}) as records
    {{ 'union all' if not loop.last }}
    {%- endif %}
    {%- endfor %}

),

-- several tables may be of one source
collected as (

    select
        source,
        sum(count_records) as count_records
    from raw_records
    group by source

),

published as (

    select
        source,
        count(*) as count_records
    from {{ ref('int_events_publishable') }}
    group by source

),

quarantined as (

    select
        source,
        count(*) as count_records
    from {{ day_of(ref('quarantined_events')) }}
    where status = 'open'
    group by source

),

duplicates as (

    select
        source,
        count(*) as count_records
    from {{ ref('int_duplicates') }}
    group by source

)

select
    collected.source,
    collected.count_records as count_collected,
    coalesce(published.count_records, 0) as count_published,
    coalesce(quarantined.count_records, 0) as count_quarantined,
    coalesce(duplicates.count_records, 0) as count_duplicates
from collected
left join published on collected.source = published.source
left join quarantined on collected.source = quarantined.source
left join duplicates on collected.source = duplicates.source
where
    collected.count_records
    <> coalesce(published.count_records, 0)
    + coalesce(quarantined.count_records, 0)
    + coalesce(duplicates.count_records, 0)
