{{ config(materialized='view', schema='intermediate') }}
select 'orders' as entity, record_id, source, source_object, source_row, order_id as record_key, 'accuracy' as dimension,
  'total_not_round' as check_name, 'total' as field, 'flagged' as outcome
from {{ ref('int_orders_checked') }} where failure_reasons is null and total = 1000
