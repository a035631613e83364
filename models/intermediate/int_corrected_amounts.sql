{{ config(materialized='view') }}

with candidates as (

    select * from {{ ref('int_cleansing_candidates') }}

),

applied as (

    select * from candidates
    where {{ is_tier_in_force('tier') }}

)

select * from applied
