-- a few rows a day: partitions would cost more than they save
{{ config(meta={'partition_by_day': false}) }}

with scores as (

    select * from {{ ref('int_quality_scores') }}

)

select
    load_date,
    {{ run_id() }} as run_id,
    entity,
    source,
    dimension,
    attempted,
    failed,
    score,
    threshold,
    passed,
    iteration
from scores
