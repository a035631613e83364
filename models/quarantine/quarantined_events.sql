with open_records as (

    select
        load_date,
        source,
        source_object,
        source_row,
        event_id,
        failure_reasons as reasons,
        payload,
        {{ run_id() }} as run_id,
        'open' as status,
        cast(null as {{ dbt.type_string() }}) as replayed_by_run
    from {{ ref('int_events_parsed') }}
    where failure_reasons is not null

),

-- what was quarantined once and passes now stays as history
replayed_records as (

    select
        load_date,
        source,
        source_object,
        source_row,
        event_id,
        reasons,
        payload,
        run_id,
        'replayed' as status,
        replayed_by_run
    from {{ ref('int_records_replayed') }}

),

quarantined as (

    select * from open_records
    union all
    select * from replayed_records

)

select * from quarantined
