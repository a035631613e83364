with violations as (

    select
        record_id,
        source,
        event_id,
        event_type,
        amount,
        is_amount_whole
    from {{ ref('int_events_parsed') }}
    where is_out_of_range and failure_reasons is null

),

event_types as (

    select * from {{ ref('event_types') }}

),

rules as (

    select * from {{ ref('cleansing_rules') }}
    where field = 'amount'

),

attempted as (

    select
        violations.record_id,
        violations.source,
        violations.event_id,
        rules.rule_id,
        rules.tier,
        violations.amount as amount_before,
        -- wide enough for any amount times any factor: a product may be kept as narrow as its factors
        round(cast(violations.amount as numeric(20, 2)) * rules.factor, 2) as amount_after,
        event_types.min_amount,
        event_types.max_amount
    from violations
    inner join event_types on violations.event_type = event_types.event_type
    inner join rules
        on
            (rules.evidence not like 'wrong_sign%' or sign(violations.amount) * event_types.expected_sign < 0)
            and (rules.evidence not like '%no_decimal_point' or violations.is_amount_whole)

),

ranked as (

    select
        *,
        row_number() over (partition by record_id order by tier, {{ in_byte_order('rule_id') }}) as choice
    from attempted
    where amount_after between min_amount and max_amount

),

candidates as (

    select
        record_id,
        source,
        event_id,
        rule_id,
        tier,
        amount_before,
        cast(amount_after as numeric(18, 2)) as amount_after
    from ranked
    where choice = 1

)

select * from candidates
