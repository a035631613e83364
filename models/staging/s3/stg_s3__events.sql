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
        {{ event_texts({'occurred_at': 'event_time'}) }}
    from raw_events
    {{ computed_once() }}

),

typed as (

    {{ event_columns('renamed') }}

)

select * from typed
