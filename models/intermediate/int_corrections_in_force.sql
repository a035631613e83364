{{ config(materialized='view') }}

select * from {{ ref('int_correction_candidates') }}
where {{ is_tier_in_force('tier') }}
