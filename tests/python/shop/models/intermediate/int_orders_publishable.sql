{{ config(materialized='view') }}

{{ publishable_records('orders') }}
