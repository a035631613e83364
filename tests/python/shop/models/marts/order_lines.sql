{{ published('order_lines') }}
