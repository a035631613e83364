with publishable as (

    select * from {{ ref('int_events_publishable') }}

)

select
    ---------- ids
    cast(event_id as {{ dbt.type_string() }}) as event_id,
    cast(source as {{ dbt.type_string() }}) as source,
    user_id,
    cast(event_type as {{ dbt.type_string() }}) as event_type,

    ---------- timestamps
    occurred_at,

    ---------- numerics
    cast(amount as numeric(18, 2)) as amount,
    quantity,

    ---------- text
    cast(currency as {{ dbt.type_string() }}) as currency,
    cast(country as {{ dbt.type_string() }}) as country,
    cast(device as {{ dbt.type_string() }}) as device,

    ---------- quality
    load_date,
    is_complete,
    is_in_range,
    is_anomaly,
    is_late,
    cast(correction_count as integer) as correction_count,

    ---------- lineage
    cast(source_object as {{ dbt.type_string() }}) as source_object,
    source_row,

    ---------- run
    {{ run_id() }} as run_id,
    now() as ingested_at

from publishable
