{{ feed_documents('raw_postgres', 'transactions', {
    'event_id': ['id'],
    'user_id': ['user'],
    'event_type': ['type'],
    'occurred_at': ['time'],
    'amount': ['amount'],
    'quantity': ['quantity'],
    'currency': ['currency'],
    'country': ['country'],
    'device': ['device'],
}) }}
