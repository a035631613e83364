{#-
    The share of passed records of a dimension, over all sources, against the goal. A row is a goal not met. With strict a share
    exactly at the threshold fails.
-#}
{% test meets_threshold(model, dimension, threshold, strict=false) %}

with last_measurement as (

    select * from {{ model }}
    where dimension = '{{ dimension }}' and iteration = (select max(iteration) from {{ model }})

),

total as (

    select
        dimension,
        sum(attempted) as attempted,
        sum(failed) as failed
    from last_measurement
    group by dimension

)

select
    dimension,
    attempted,
    failed,
    cast({{ threshold }} as numeric(9, 8)) as threshold
from total
where not (attempted = 0 or attempted - failed {{ '>' if strict | string | lower == 'true' else '>=' }} cast({{ threshold }} as numeric(9, 8)) * attempted)

{% endtest %}
