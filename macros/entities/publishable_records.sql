{#-
    What an entity publishes of the day: its records without those rejected and without duplicates, with the corrections in force,
    in the columns of its mart, less the two that say which run wrote them. One row per record.
-#}
{% macro publishable_records(name) -%}
    {%- set checked = ref('int_' ~ name ~ '_checked') -%}
    {%- set duplicates, applied = ref('int_duplicates'), ref('int_corrections_in_force') -%}
    {%- set findings, statistics = ref('int_findings'), ref('int_outlier_statistics') -%}
    {%- set declared, mart = entity(name), mart_of(name) if execute else {'columns': {}} -%}
    {%- set correctable = declared.fields | selectattr('corrections') | list -%}
    {%- set outlying = declared.fields | selectattr('outlier') | list -%}
with passing as (

    select * from {{ checked }}
    where failure_reasons is null

),

duplicates as (

    select record_id from {{ duplicates }}
    where entity = '{{ name }}'

),

-- the dimensions in which something is left that no correction has put right
open_records as (

    select
        record_id,
        string_agg(distinct dimension, ',') as dimensions
    from {{ findings }}
    where entity = '{{ name }}' and outcome = 'flagged'
    group by record_id

),
{% for field in correctable %}
{{ adapter.quote(field.name ~ '__corrections') }} as (

    select
        record_id,
        cast(value_after as {{ field.type }}) as value_after
    from {{ applied }}
    where entity = '{{ name }}' and field = '{{ field.name }}'

),
{% endfor %}
corrected as (

    select
        passing.record_id,
        passing.source,
        passing.load_date,
        passing.source_object,
        passing.source_row,
        {%- for field in declared.fields %}
        {%- if field.corrections %}
        coalesce({{ adapter.quote(field.name ~ '__corrections') }}.value_after, passing.{{ adapter.quote(field.name) }}) as {{ adapter.quote(field.name) }},
        {%- else %}
        passing.{{ adapter.quote(field.name) }},
        {%- endif %}
        {%- endfor %}
        {{ count_listed('passing.defaulted_fields') }}
        {%- for field in correctable %}
        + case when {{ adapter.quote(field.name ~ '__corrections') }}.record_id is null then 0 else 1 end
        {%- endfor %} as correction_count
    from passing
    left join duplicates on passing.record_id = duplicates.record_id
    {%- for field in correctable %}
    {%- set corrections = adapter.quote(field.name ~ '__corrections') %}
    left join {{ corrections }} on passing.record_id = {{ corrections }}.record_id
    {%- endfor %}
    where duplicates.record_id is null

)

select
    {%- for column in mart.columns.values() if column.name not in ('run_id', 'ingested_at') %}
    {%- if column.config.meta.get('holds') %}
    not {{ lists('open_records.dimensions', column.config.meta.holds) }} as {{ adapter.quote(column.name) }}
    {%- elif column.name == 'is_late' %}
    coalesce({{ 'corrected.' ~ adapter.quote(declared.event_time) ~ ' < ' ~ load_date() if declared.event_time else 'false' }}, false) as is_late
    {%- elif column.name == 'is_anomaly' %}
    coalesce(
        {%- for field in outlying %}
        {{- ' or' if not loop.first }}
        (
            {%- for check in declared.checks if check.field == field.name and check.kind not in ('missing', 'references') %}
            not {{ lists('open_records.dimensions', check.dimension) }} and
            {%- endfor %}
            abs(cast(corrected.{{ adapter.quote(field.name) }} as double precision) - {{ helper(field.name, 'usual') }}.mean_value)
            > {{ field.outlier.deviations }} * {{ helper(field.name, 'usual') }}.stddev_value
        )
        {%- else %}false
        {%- endfor %},
        false
    ) as is_anomaly
    {%- else %}
    corrected.{{ adapter.quote(column.name) }}
    {%- endif %}{{ ',' if not loop.last }}
    {%- endfor %}
from corrected
left join open_records on corrected.record_id = open_records.record_id
{%- for field in outlying %}
{%- set usual = helper(field.name, 'usual') %}
left join {{ statistics }} as {{ usual }}
    on
        {{ usual }}.entity = '{{ name }}'
        and {{ usual }}.field = '{{ field.name }}'
        and {{ usual }}.group_value = {{ outlier_group(field, 'corrected') }}
        and {{ usual }}.count_values >= {{ field.outlier.get('at_least', 30) }}
{%- endfor %}
{%- endmacro %}

{#- The mart of an entity: what it publishes of the day, in the types of its contract, and the run that published it. -#}
{% macro published(name) -%}
    {%- set publishable = ref('int_' ~ name ~ '_publishable') -%}
    {%- set columns = mart_of(name).columns.values() if execute else [] -%}
select
    {%- for column in columns %}
    {%- if column.name == 'run_id' %}
    {{ run_id() }} as run_id
    {%- elif column.name == 'ingested_at' %}
    now() as ingested_at
    {%- else %}
    cast({{ adapter.quote(column.name) }} as {{ column.data_type }}) as {{ adapter.quote(column.name) }}
    {%- endif %}{{ ',' if not loop.last }}
    {%- endfor %}
from {{ publishable }}
{%- endmacro %}
