-- a table, and not part of the quarantine's own view: publishing empties the day before it reads that view
with quarantined_before as (

    {{ quarantined_before() }}

),

passing as (

    select
        source,
        source_object,
        source_row,
        event_id
    from {{ ref('int_events_parsed') }}
    where failure_reasons is null

),

-- another record may lie at the same place by now: then what was quarantined is gone from the source
replayed as (

    select
        quarantined_before.load_date,
        quarantined_before.source,
        quarantined_before.source_object,
        quarantined_before.source_row,
        passing.event_id,
        quarantined_before.reasons,
        quarantined_before.payload,
        quarantined_before.run_id,
        coalesce(quarantined_before.replayed_by_run, {{ run_id() }}) as replayed_by_run
    from quarantined_before
    inner join passing
        on
            quarantined_before.source = passing.source
            and quarantined_before.source_object = passing.source_object
            and quarantined_before.source_row = passing.source_row
            and coalesce(quarantined_before.event_id, passing.event_id) = passing.event_id

)

select * from replayed
