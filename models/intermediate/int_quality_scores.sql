{{ config(
    materialized='incremental',
    incremental_strategy='append',
    full_refresh=false,
    pre_hook="{{ forget_measurements() }}",
) }}

with figures as (

    select * from {{ ref('int_day_figures') }}

),

measured as (

    select
        source,
        'transformation' as dimension,
        'records_transformed' as check_name,
        count_collected as attempted,
        count_quarantined as failed,
        1 - {{ var('failure_rate_threshold') }} as threshold
    from figures

    union all

    select
        source,
        'completeness' as dimension,
        'required_fields_present' as check_name,
        count_transformed as attempted,
        count_missing_required as failed,
        {{ var('completeness_threshold') }} as threshold
    from figures

    union all

    select
        source,
        'accuracy' as dimension,
        'amount_in_range' as check_name,
        count_transformed as attempted,
        count_out_of_range - count_corrected as failed,
        {{ var('accuracy_threshold') }} as threshold
    from figures

    union all

    select
        source,
        'consistency' as dimension,
        'user_exists' as check_name,
        count_transformed as attempted,
        count_orphans as failed,
        {{ var('consistency_threshold') }} as threshold
    from figures
    where count_orphans is not null

),

scored as (

    select
        {{ load_date() }} as load_date,
        source,
        dimension,
        check_name,
        attempted,
        failed,
        case
            when attempted = 0 then cast(1 as numeric(9, 8))
            else {{ share_of('(attempted - failed)', 'attempted') }}
        end as score,
        cast(threshold as numeric(9, 8)) as threshold,
        case
            when attempted = 0 then true
            {%- for dimension, name in [
                ('transformation', 'failure_rate'),
                ('completeness', 'completeness'),
                ('accuracy', 'accuracy'),
                ('consistency', 'consistency'),
            ] if var(name ~ '_strict') %}
            -- below the threshold, and not at it
            when dimension = '{{ dimension }}' then attempted - failed > cast(threshold as numeric(9, 8)) * attempted
            {%- endfor %}
            else attempted - failed >= cast(threshold as numeric(9, 8)) * attempted
        end as passed,
        cast({{ var('iteration') | int }} as integer) as iteration
    from measured

)

select * from scored
