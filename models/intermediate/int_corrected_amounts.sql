{{ config(materialized='view') }}

with candidates as (

    select * from {{ ref('int_cleansing_candidates') }}

),

applied as (

    select * from candidates
    where tier <= {{ var('cleansing_tier') | int }}

)

select * from applied
