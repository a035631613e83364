with amounts as (

    select
        event_type,
        amount
    from {{ ref('int_events_parsed') }}
    where failure_reasons is null and not is_out_of_range and amount is not null and event_type is not null

),

-- sums of decimals are exact: floating-point ones depend on the order in which an engine reads the rows
sums as (

    select
        event_type,
        count(*) as count_events,
        {{ exact_double('sum(amount)') }} as total,
        {{ exact_double('sum(amount * amount)') }} as total_of_squares
    from amounts
    group by event_type

),

statistics as (

    select
        event_type,
        count_events,
        total / count_events as mean_amount,
        sqrt(
            greatest(total_of_squares - total * total / count_events, cast(0 as double precision))
            / nullif(count_events - 1, 0)
        ) as stddev_amount
    from sums

)

select * from statistics
