with failed as (

    select * from {{ ref('int_events_parsed') }}
    where failure_reasons is not null

),

-- the payload is read from staging again, for these few only, so that the day's table stays narrow
received as (
    {% for model in var('event_models') %}
    select
        '{{ source_of(model) }}' as source,
        source_object,
        source_row,
        payload
    from {{ ref(model) }}
    where (source_object, source_row) in (
        select failed.source_object, failed.source_row
        from failed
        where failed.source = '{{ source_of(model) }}'
    )
    {{ 'union all' if not loop.last }}
    {%- endfor %}

),

quarantined as (

    select
        failed.load_date,
        failed.source,
        failed.source_object,
        failed.source_row,
        failed.event_id,
        failed.failure_reasons as reasons,
        received.payload,
        {{ run_id() }} as run_id,
        'open' as status
    from failed
    left join received
        on
            failed.source = received.source
            and failed.source_object = received.source_object
            and failed.source_row = received.source_row

)

select * from quarantined
