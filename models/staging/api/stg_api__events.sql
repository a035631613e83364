with raw_records as (

    {{ raw_records('raw_api', 'events', ['payload']) }}

),

parsed as (

    {{ json_fields('raw_records', 'payload', {
        'event_id': ['eventId'],
        'user_id': ['userId'],
        'event_type': ['eventType'],
        'occurred_at': ['timestamp'],
        'amount': ['amount'],
        'quantity': ['quantity'],
        'currency': ['currency'],
        'country': ['location', 'country'],
        'device': ['device', 'type'],
    }) }}

),

renamed as (

    select
        load_date,
        source_object,
        source_row,
        coalesce(reject_reason, case when not is_json_object then 'payload_not_json' end) as record_error,
        payload,
        {{ event_texts() }}
    from parsed
    {{ computed_once() }}

),

typed as (

    {{ event_columns('renamed') }}

)

select * from typed
