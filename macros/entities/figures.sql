{#- One row per record and failed check of an entity, before any correction. -#}
{% macro findings_of(declared) -%}
    {%- set kinds = [('failure_reasons', 'rejected'), ('flagged', 'flagged'), ('defaulted_fields', 'defaulted')] -%}
    select
        '{{ declared.name }}' as entity,
        record_id,
        source,
        source_object,
        source_row,
        record_key,
        case
            when outcome = 'rejected' then 'transformation'
            {%- for check in checks_that(declared, 'flag') %}
            when outcome = 'flagged' and listed = '{{ check.reason }}' then '{{ check.dimension }}'
            {%- endfor %}
            else 'completeness'
        end as dimension,
        case when outcome = 'defaulted' then listed || '_defaulted' else listed end as check_name,
        case
            when outcome = 'defaulted' then listed
            {%- for check in declared.checks if check.field %}
            when listed = '{{ check.reason }}' then '{{ check.field }}'
            {%- endfor %}
            {%- for field in declared.fields %}
            when listed = '{{ field.name }}_unparsable' then '{{ field.name }}'
            {%- endfor %}
        end as field,
        outcome
    from (
        {% for column, outcome in kinds %}
        select
            record_id,
            source,
            source_object,
            source_row,
            {{ record_key(declared) }} as record_key,
            {{ each_of(column) }} as listed,
            '{{ outcome }}' as outcome
        from {{ ref('int_' ~ declared.name ~ '_checked') }}
        where {{ column }} is not null
        {{ 'union all' if not loop.last }}
        {%- endfor %}
    ) as listed_names
{%- endmacro %}

{#- What came of an entity's records, in counts. One row per source. -#}
{% macro day_figures_of(declared) -%}
    {%- set mart = mart_of(declared.name) -%}
    {%- set known = mart.columns.keys() | list -%}
    select
        '{{ declared.name }}' as entity,
        checked.source,
        {{ load_date() }} as load_date,
        checked.count_collected,
        checked.count_quarantined,
        checked.count_transformed,
        checked.count_defaulted,
        coalesce(corrected.count_corrected, 0) as count_corrected,
        coalesce(duplicates.count_duplicates, 0) as count_duplicates,
        coalesce(duplicates.count_versions, 0) as count_versions,
        coalesce(published.count_anomalies, 0) as count_anomalies,
        coalesce(published.count_late, 0) as count_late,
        coalesce(published.count_published, 0) as count_published
    from (
        select
            source,
            count(*) as count_collected,
            count(*) filter (where failure_reasons is not null) as count_quarantined,
            count(*) filter (where failure_reasons is null) as count_transformed,
            count(*) filter (where failure_reasons is null and defaulted_fields is not null) as count_defaulted
        from {{ ref('int_' ~ declared.name ~ '_checked') }}
        group by source
    ) as checked
    left join (
        select
            source,
            count(*) as count_duplicates,
            count(*) filter (where has_other_values) as count_versions
        from {{ ref('int_duplicates') }}
        where entity = '{{ declared.name }}'
        group by source
    ) as duplicates on checked.source = duplicates.source
    left join (
        select
            source,
            count(distinct record_id) as count_corrected
        from {{ ref('int_corrections_in_force') }}
        where entity = '{{ declared.name }}'
        group by source
    ) as corrected on checked.source = corrected.source
    left join (
        select
            source,
            count(*) as count_published,
            {{ 'count(*) filter (where is_anomaly)' if 'is_anomaly' in known else '0' }} as count_anomalies,
            {{ 'count(*) filter (where is_late)' if 'is_late' in known else '0' }} as count_late
        from {{ ref('int_' ~ declared.name ~ '_publishable') }}
        group by source
    ) as published on checked.source = published.source
{%- endmacro %}

{#-
    How many records of an entity were held against a dimension, and how many of them have something open in it. One row per source
    and dimension. Where a reference has nothing on the other side, nothing can be said of its dimension.
-#}
{% macro measurements_of(declared) -%}
    select
        figures.entity,
        figures.source,
        'transformation' as dimension,
        figures.count_collected as attempted,
        figures.count_quarantined as failed,
        figures.count_quarantined as failed_before
    from {{ ref('int_day_figures') }} as figures
    where figures.entity = '{{ declared.name }}'
    {% for dimension in declared.dimensions %}
    union all

    select
        figures.entity,
        figures.source,
        '{{ dimension }}' as dimension,
        figures.count_transformed as attempted,
        coalesce(open_records.failed, 0) as failed,
        coalesce(open_records.failed_before, 0) as failed_before
    from {{ ref('int_day_figures') }} as figures
    left join (
        select
            source,
            count(distinct record_id) filter (where outcome = 'flagged') as failed,
            count(distinct record_id) as failed_before
        from {{ ref('int_findings') }}
        where entity = '{{ declared.name }}' and dimension = '{{ dimension }}' and outcome in ('flagged', 'corrected')
        group by source
    ) as open_records on figures.source = open_records.source
    where
        figures.entity = '{{ declared.name }}'
        {%- for check in declared.checks if check.kind == 'references' and check.dimension == dimension %}
        and exists (select 1 from {{ relation_of(check.model) }})
        {%- endfor %}
    {% endfor %}
{%- endmacro %}
