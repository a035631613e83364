with corrected_amounts as (

    select * from {{ ref('int_corrected_amounts') }}

),

parsed as (

    select * from {{ ref('int_events_parsed') }}

),

-- what was removed as a duplicate or quarantined was not changed, so it has no correction
publishable as (

    select
        parsed.record_id,
        parsed.source,
        parsed.event_id,
        parsed.source_object,
        parsed.source_row,
        parsed.defaulted_fields,
        parsed.amount
    from parsed
    where
        parsed.failure_reasons is null
        and (parsed.defaulted_fields is not null or parsed.is_out_of_range)
        and not exists (
            select 1 from {{ ref('int_duplicates') }} as duplicates
            where duplicates.record_id = parsed.record_id
        )

),

amounts as (

    select
        publishable.source,
        publishable.event_id,
        publishable.source_object,
        publishable.source_row,
        'amount' as field,
        cast(corrected_amounts.amount_before as {{ dbt.type_string() }}) as value_before,
        cast(corrected_amounts.amount_after as {{ dbt.type_string() }}) as value_after,
        corrected_amounts.rule_id
    from publishable
    inner join corrected_amounts on publishable.record_id = corrected_amounts.record_id

),

defaults as (

    select
        publishable.source,
        publishable.event_id,
        publishable.source_object,
        publishable.source_row,
        default_values.field,
        cast(null as {{ dbt.type_string() }}) as value_before,
        cast(default_values.default_value as {{ dbt.type_string() }}) as value_after,
        'default_' || default_values.field as rule_id
    from publishable
    inner join {{ ref('default_values') }} as default_values
        on ',' || publishable.defaulted_fields || ',' like '%,' || default_values.field || ',%'

),

corrections as (

    select * from amounts
    union all
    select * from defaults

)

select
    {{ load_date() }} as load_date,
    source,
    event_id,
    source_object,
    source_row,
    cast(field as {{ dbt.type_string() }}) as field,
    value_before,
    value_after,
    cast(rule_id as {{ dbt.type_string() }}) as rule_id,
    {{ run_id() }} as run_id
from corrections
