-- per source: what raw holds = what is published + quarantined + removed as a duplicate; each counted where it lies,
-- raw records in raw and not in staging, where a filter would hide them
{{ config(
    severity='error',
    meta={'dimension': 'conservation', 'remedy': 'escalate'},
    description='Conservation: a record is published, quarantined or a duplicate, and never vanishes.',
) }}

-- depends_on: {{ ref('quarantined_records') }}, {{ ref('int_duplicates') }}
with raw_records as (
    {%- set feeds = feeds_of_entities() %}
    {%- for declared, model in feeds %}
    {%- set schema, table = raw_table_of(model) %}
    select
        '{{ declared.name }}' as entity,
        '{{ source_of(model) }}' as source,
        count(*) as count_records
    from ({{ raw_records(schema, table, []) }}) as records
    {{ 'union all' if not loop.last }}
    {%- else %}
    {{ no_rows({'entity': dbt.type_string(), 'source': dbt.type_string(), 'count_records': 'bigint'}) }}
    {%- endfor %}

),

-- several tables may be of one source
collected as (

    select
        entity,
        source,
        sum(count_records) as count_records
    from raw_records
    group by entity, source

),

published as (
    {% for declared in entities('publishable') if declared.fields %}
    select
        '{{ declared.name }}' as entity,
        source,
        count(*) as count_records
    from {{ ref('int_' ~ declared.name ~ '_publishable') }}
    group by source
    {{ 'union all' if not loop.last }}
    {%- else %}
    {{ no_rows({'entity': dbt.type_string(), 'source': dbt.type_string(), 'count_records': 'bigint'}) }}
    {%- endfor %}

),

quarantined as (

    select
        entity,
        source,
        count(*) as count_records
    from {{ day_of(ref('quarantined_records')) }}
    where status = 'open'
    group by entity, source

),

duplicates as (

    select
        entity,
        source,
        count(*) as count_records
    from {{ ref('int_duplicates') }}
    group by entity, source

)

select
    collected.entity,
    collected.source,
    collected.count_records as count_collected,
    coalesce(published.count_records, 0) as count_published,
    coalesce(quarantined.count_records, 0) as count_quarantined,
    coalesce(duplicates.count_records, 0) as count_duplicates
from collected
left join published on collected.entity = published.entity and collected.source = published.source
left join quarantined on collected.entity = quarantined.entity and collected.source = quarantined.source
left join duplicates on collected.entity = duplicates.entity and collected.source = duplicates.source
where
    collected.count_records
    <> coalesce(published.count_records, 0)
    + coalesce(quarantined.count_records, 0)
    + coalesce(duplicates.count_records, 0)
