with transformed as not materialized (

    select
        record_id,
        source,
        source_rank,
        source_object,
        source_row,
        event_id
    from {{ ref('int_events_parsed') }}
    where failure_reasons is null

),

-- ranking every record would sort the whole day: only ids that repeat can lose. Found once, not by each worker
repeated_ids as materialized (

    select event_id
    from transformed
    group by event_id
    having count(*) > 1

),

ranked as (

    select
        transformed.*,
        row_number() over (
            partition by transformed.event_id
            order by
                transformed.source_rank,
                {{ in_byte_order('transformed.source_object') }},
                transformed.source_row
        ) as arrival
    from transformed
    inner join repeated_ids on transformed.event_id = repeated_ids.event_id

),

repeated_today as (

    select
        record_id,
        source,
        event_id,
        'same_day' as kind
    from ranked
    where arrival > 1

),

-- joined, so that an engine can hold today's ids and pass the earlier ones by them, whatever their number
published_ids as (

    {{ published_event_ids(var('lookback_days')) }}

),

returned_ids as (

    select distinct published_ids.event_id
    from published_ids
    inner join transformed on published_ids.event_id = transformed.event_id

),

published_before as (

    select
        transformed.record_id,
        transformed.source,
        transformed.event_id,
        'earlier_day' as kind
    from transformed
    inner join returned_ids on transformed.event_id = returned_ids.event_id
    where
        not exists (
            select 1 from repeated_today
            where repeated_today.record_id = transformed.record_id
        )

),

duplicates as (

    select * from repeated_today
    union all
    select * from published_before

)

select * from duplicates
