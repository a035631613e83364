with amounts as (

    select
        event_type,
        cast(amount as double precision) as amount
    from {{ ref('int_events_parsed') }}
    where failure_reasons is null and not is_out_of_range and amount is not null and event_type is not null

),

statistics as (

    select
        event_type,
        count(*) as count_events,
        avg(amount) as mean_amount,
        stddev_samp(amount) as stddev_amount
    from amounts
    group by event_type

)

select * from statistics
