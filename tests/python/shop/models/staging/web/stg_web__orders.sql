{{ feed_documents('raw_web', 'orders', {'order_id': ['id'], 'customer_id':['customer','id'], 'total':['total'],'order_type':['kind'],'ordered_at':['at']}) }}
