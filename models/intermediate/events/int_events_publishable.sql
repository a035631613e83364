{{ config(materialized='view') }}

{{ publishable_records('events') }}
