select cast(customer_id as bigint) as customer_id from ({{ raw_snapshot('raw_crm','customers',['customer_id']) }}) as snapshot
