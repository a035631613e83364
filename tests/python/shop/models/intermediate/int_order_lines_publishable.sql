{{ config(materialized='view') }}

{{ publishable_records('order_lines') }}
