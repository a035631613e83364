with parsed as (

    select
        source,
        count(*) as count_collected,
        count(*) filter (where failure_reasons is not null) as count_quarantined,
        count(*) filter (where failure_reasons is null) as count_transformed,
        count(*) filter (where failure_reasons is null and defaulted_fields is not null) as count_defaulted,
        count(*) filter (where failure_reasons is null and not is_complete) as count_missing_required,
        count(*) filter (where failure_reasons is null and is_out_of_range) as count_out_of_range
    from {{ ref('int_events_parsed') }}
    group by source

),

duplicates as (

    select
        source,
        count(*) as count_duplicates
    from {{ ref('int_duplicates') }}
    group by source

),

corrected_amounts as (

    select
        source,
        count(*) as count_corrected
    from {{ ref('int_corrected_amounts') }}
    group by source

),

published as (

    select
        publishable.source,
        count(*) as count_published,
        count(*) filter (where publishable.is_anomaly) as count_anomalies,
        count(*) filter (where publishable.is_late) as count_late,
        count(*) filter (where publishable.user_id is not null and users.user_id is null) as count_orphans
    from {{ ref('int_events_publishable') }} as publishable
    left join (select distinct user_id from {{ ref('stg_postgres__users') }}) as users
        on publishable.user_id = users.user_id
    group by publishable.source

),

reference as (

    select count(*) as count_users from {{ ref('stg_postgres__users') }}

),

figures as (

    select
        parsed.source,
        {{ load_date() }} as load_date,
        parsed.count_collected,
        parsed.count_quarantined,
        parsed.count_transformed,
        parsed.count_defaulted,
        parsed.count_missing_required,
        parsed.count_out_of_range,
        coalesce(corrected_amounts.count_corrected, 0) as count_corrected,
        coalesce(duplicates.count_duplicates, 0) as count_duplicates,
        coalesce(published.count_anomalies, 0) as count_anomalies,
        coalesce(published.count_late, 0) as count_late,
        -- without any users nothing can be said about references
        case when reference.count_users > 0 then coalesce(published.count_orphans, 0) end as count_orphans,
        coalesce(published.count_published, 0) as count_published
    from parsed
    left join duplicates on parsed.source = duplicates.source
    left join corrected_amounts on parsed.source = corrected_amounts.source
    left join published on parsed.source = published.source
    cross join reference

)

select * from figures
