{%- set fields = [
    'event_id', 'user_id', 'event_type', 'event_time', 'amount', 'quantity', 'currency', 'country', 'device',
] -%}

with raw_events as (

    {{ raw_records('raw_s3', 'events', fields + ['payload']) }}

),

renamed as (

    select
        load_date,
        source_object,
        source_row,
        reject_reason as record_error,
        coalesce(payload, {{ record_payload(fields) }}) as payload,
        {{ event_texts({
            'event_id': 'event_id',
            'user_id': 'user_id',
            'event_type': 'event_type',
            'occurred_at': 'event_time',
            'amount': 'amount',
            'quantity': 'quantity',
            'currency': 'currency',
            'country': 'country',
            'device': 'device',
        }) }}
    from raw_events

),

typed as (

    select
        {{ event_columns() }}
    from renamed

)

select * from typed
