{{ published('orders') }}
