-- what was removed as a duplicate or quarantined was not changed, so it has no correction
with changed as (

    select * from {{ ref('int_findings') }} as findings
    where
        outcome in ('corrected', 'defaulted')
        and not exists (
            select 1 from {{ ref('int_duplicates') }} as duplicates
            where duplicates.entity = findings.entity and duplicates.record_id = findings.record_id
        )

),

-- a value may have failed several checks of its field, and was corrected once
corrected as (

    select
        corrections.entity,
        corrections.source,
        corrections.record_key,
        corrections.source_object,
        corrections.source_row,
        corrections.field,
        corrections.value_before,
        corrections.value_after,
        corrections.rule_id
    from {{ ref('int_corrections_in_force') }} as corrections
    where
        exists (
            select 1 from changed
            where
                changed.outcome = 'corrected'
                and changed.entity = corrections.entity
                and changed.record_id = corrections.record_id
                and changed.field = corrections.field
        )

),

defaulted as (

    select
        entity,
        source,
        record_key,
        source_object,
        source_row,
        field,
        cast(null as {{ dbt.type_string() }}) as value_before,
        {{ default_as_text() }} as value_after,
        'default_' || field as rule_id
    from changed
    where outcome = 'defaulted'

),

corrections as (

    select * from corrected
    union all
    select * from defaulted

)

select
    {{ load_date() }} as load_date,
    cast(entity as {{ dbt.type_string() }}) as entity,
    cast(source as {{ dbt.type_string() }}) as source,
    record_key,
    source_object,
    source_row,
    cast(field as {{ dbt.type_string() }}) as field,
    value_before,
    cast(value_after as {{ dbt.type_string() }}) as value_after,
    cast(rule_id as {{ dbt.type_string() }}) as rule_id,
    {{ run_id() }} as run_id
from corrections
