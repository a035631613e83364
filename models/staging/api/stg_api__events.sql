{{ feed_documents('raw_api', 'events', {
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
