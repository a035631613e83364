with amounts as (

    select
        event_type,
        amount
    from {{ ref('int_events_parsed') }}
    where failure_reasons is null and not is_out_of_range and amount is not null and event_type is not null

),

-- sums of decimals are exact: floating-point ones depend on the order in which an engine reads the rows
means as (

    select
        event_type,
        count(*) as count_events,
        {{ exact_double('sum(amount)') }} / count(*) as mean_amount
    from amounts
    group by event_type

),

-- squares of what lies around the mean, not around 0: those of large amounts leave no digits for the difference
deviations as (

    select
        amounts.event_type,
        cast(amounts.amount - cast(floor(means.mean_amount) as bigint) as numeric(19, 2)) as deviation
    from amounts
    inner join means on amounts.event_type = means.event_type

),

sums as (

    select
        event_type,
        {{ exact_double('sum(deviation)') }} as total,
        -- a square has twice the digits
        {{ exact_double('sum(deviation * deviation)') }} as total_of_squares
    from deviations
    group by event_type

),

statistics as (

    select
        means.event_type,
        means.count_events,
        means.mean_amount,
        sqrt(
            greatest(
                sums.total_of_squares - sums.total * sums.total / means.count_events,
                cast(0 as double precision)
            )
            / nullif(means.count_events - 1, 0)
        ) as stddev_amount
    from means
    inner join sums on means.event_type = sums.event_type

)

select * from statistics
