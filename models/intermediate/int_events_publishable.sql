{{ config(materialized='view') }}

with parsed as (

    select * from {{ ref('int_events_parsed') }}
    where failure_reasons is null

),

duplicates as (

    select record_id from {{ ref('int_duplicates') }}

),

corrected_amounts as (

    select * from {{ ref('int_corrected_amounts') }}

),

statistics as (

    select * from {{ ref('int_amount_statistics') }}
    where count_events >= {{ var('anomaly_min_events') | int }}

),

unique_events as (

    select parsed.*
    from parsed
    left join duplicates on parsed.record_id = duplicates.record_id
    where duplicates.record_id is null

),

corrected as (

    select
        unique_events.*,
        coalesce(corrected_amounts.amount_after, unique_events.amount) as amount_corrected,
        corrected_amounts.record_id is not null as is_corrected,
        unique_events.is_out_of_range and corrected_amounts.record_id is null as is_still_out_of_range
    from unique_events
    left join corrected_amounts on unique_events.record_id = corrected_amounts.record_id

),

publishable as (

    select
        ---------- ids
        corrected.event_id,
        corrected.source,
        corrected.user_id,
        corrected.event_type,

        ---------- timestamps
        corrected.occurred_at,

        ---------- numerics
        corrected.amount_corrected as amount,
        corrected.quantity,

        ---------- text
        corrected.currency,
        corrected.country,
        corrected.device,

        ---------- quality
        corrected.load_date,
        corrected.is_complete,
        not corrected.is_still_out_of_range as is_in_range,
        coalesce(
            not corrected.is_still_out_of_range
            and abs(cast(corrected.amount_corrected as double precision) - statistics.mean_amount)
            > {{ var('anomaly_z_threshold') }} * statistics.stddev_amount,
            false
        ) as is_anomaly,
        coalesce(corrected.occurred_at < {{ load_date() }}, false) as is_late,
        case when corrected.is_corrected then 1 else 0 end + {{ count_listed('corrected.defaulted_fields') }}
            as correction_count,

        ---------- lineage
        corrected.source_object,
        corrected.source_row
    from corrected
    left join statistics on corrected.event_type = statistics.event_type

)

select * from publishable
