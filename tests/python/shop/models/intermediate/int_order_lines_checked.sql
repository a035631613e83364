{{ checked_records('order_lines', feeds=['stg_shop__order_lines']) }}
