with failed as (

    select * from {{ ref('int_events_parsed') }}
    where failure_reasons is not null

),

-- the payload is read from staging again, for these few only, so that the day's table stays narrow
received as (
    {% for model in var('event_models') %}
    select
        '{{ source_of(model) }}' as source,
        staged.source_object,
        staged.source_row,
        staged.payload
    from {{ ref(model) }} as staged
    where
        exists (
            select 1
            from failed
            where
                failed.source = '{{ source_of(model) }}'
                and failed.source_object = staged.source_object
                and failed.source_row = staged.source_row
        )
    {{ 'union all' if not loop.last }}
    {%- endfor %}

),

open_records as (

    select
        failed.load_date,
        failed.source,
        failed.source_object,
        failed.source_row,
        failed.event_id,
        failed.failure_reasons as reasons,
        received.payload,
        {{ run_id() }} as run_id,
        'open' as status,
        cast(null as {{ dbt.type_string() }}) as replayed_by_run
    from failed
    left join received
        on
            failed.source = received.source
            and failed.source_object = received.source_object
            and failed.source_row = received.source_row

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
