{{ checked_records(
    'events',
    feeds=['stg_s3__events', 'stg_postgres__transactions', 'stg_api__events'],
    references=['event_types', 'stg_postgres__users']
) }}
