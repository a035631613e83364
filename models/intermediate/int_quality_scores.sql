{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='sync_all_columns',
    full_refresh=false,
    pre_hook="{{ forget_measurements() }}",
) }}

{%- do ref('int_day_figures') %}{% do ref('int_findings') %}
{%- set thresholds = thresholds() %}

with measured as (
    {% for declared in entities() if declared.fields %}
    {{ measurements_of(declared) }}
    {{ 'union all' if not loop.last }}
    {%- else %}
    {{ no_rows({
        'entity': dbt.type_string(),
        'source': dbt.type_string(),
        'dimension': dbt.type_string(),
        'attempted': 'bigint',
        'failed': 'bigint',
        'failed_before': 'bigint',
    }) }}
    {%- endfor %}

),

held as (

    select
        measured.*,
        cast(
            case
                {%- for one in thresholds if one.entity %}
                when measured.entity = '{{ one.entity }}' and measured.dimension = '{{ one.dimension }}' then {{ one.threshold }}
                {%- endfor %}
                {%- for one in thresholds if not one.entity %}
                when measured.dimension = '{{ one.dimension }}' then {{ one.threshold }}
                {%- endfor %}
                else 0
            end as numeric(9, 8)
        ) as threshold,
        case
            {%- for one in thresholds if one.entity %}
            when measured.entity = '{{ one.entity }}' and measured.dimension = '{{ one.dimension }}' then {{ 'true' if one.strict else 'false' }}
            {%- endfor %}
            {%- for one in thresholds if not one.entity %}
            when measured.dimension = '{{ one.dimension }}' then {{ 'true' if one.strict else 'false' }}
            {%- endfor %}
            else false
        end as is_strict
    from measured

)

select
    {{ load_date() }} as load_date,
    entity,
    source,
    dimension,
    attempted,
    failed,
    failed_before as failed_before_corrections,
    case
        when attempted = 0 then cast(1 as numeric(9, 8))
        else {{ share_of('(attempted - failed)', 'attempted') }}
    end as score,
    threshold,
    case
        when attempted = 0 then true
        -- below the threshold, and not at it
        when is_strict then attempted - failed > threshold * attempted
        else attempted - failed >= threshold * attempted
    end as passed,
    cast({{ var('iteration') | int }} as integer) as iteration
from held
