{{ feed_records('raw_s3', 'events', {
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
