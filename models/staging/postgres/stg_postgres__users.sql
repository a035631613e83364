-- the newest snapshot up to the day: when the source is down today, yesterday's users still tell who exists
with raw_users as (

    {{ raw_snapshot('raw_postgres', 'users', ['user_id', 'country', 'created_at']) }}

),

renamed as (

    select distinct
        ---------- ids
        cast(user_id as bigint) as user_id,

        ---------- text
        cast(country as {{ dbt.type_string() }}) as country,

        ---------- timestamps
        cast(created_at as timestamptz) as created_at,
        load_date as snapshot_date

    from raw_users

)

select * from renamed
