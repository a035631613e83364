{{ checked_records('orders', feeds=['stg_shop__orders', 'stg_web__orders'], references=['stg_crm__customers', 'order_types']) }}
