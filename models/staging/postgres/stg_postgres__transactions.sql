with raw_records as (

    {{ raw_records('raw_postgres', 'transactions', ['payload']) }}

),

parsed as (

    select
        *,
        {{ json_object_or_null('payload') }} as body
    from raw_records

),

renamed as (

    select
        load_date,
        source_object,
        source_row,
        coalesce(reject_reason, case when body is null then 'payload_not_json' end) as record_error,
        payload,
        {{ event_texts({
            'event_id': json_text('body', ['id']),
            'user_id': json_text('body', ['user']),
            'event_type': json_text('body', ['type']),
            'occurred_at': json_text('body', ['time']),
            'amount': json_text('body', ['amount']),
            'quantity': json_text('body', ['quantity']),
            'currency': json_text('body', ['currency']),
            'country': json_text('body', ['country']),
            'device': json_text('body', ['device']),
        }) }}
    from parsed

),

typed as (

    select
        {{ event_columns() }}
    from renamed

)

select * from typed
