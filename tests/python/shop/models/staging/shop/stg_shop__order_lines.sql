{{ feed_records('raw_shop', 'order_lines', ['order_id','line_no','quantity','updated_at']) }}
