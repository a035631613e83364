with received as (
    {% for model in var('event_models') %}
    select
        '{{ source_of(model) }}' as source,
        {{ loop.index }} as source_rank,
        *
    from {{ ref(model) }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}

),

event_types as (

    select * from {{ ref('event_types') }}

),

known_users as (

    select distinct user_id from {{ ref('stg_postgres__users') }}

),

referred as (

    select
        received.*,
        event_types.min_amount,
        event_types.max_amount,
        received.event_type is not null and event_types.event_type is null as is_type_unknown,
        received.user_id is not null
        and known_users.user_id is null
        and (select count(*) from {{ ref('stg_postgres__users') }}) > 0 as is_orphan
    from received
    left join event_types on received.event_type = event_types.event_type
    left join known_users on received.user_id = known_users.user_id

),

judged as (

    select
        referred.*,
        nullif(concat_ws(
            ',',
            referred.failure_reasons,
            case when referred.is_type_unknown then 'event_type_unknown' end,
            case when referred.is_orphan then 'orphan_user' end
        ), '') as reasons
    from referred

),

parsed as (

    select
        ---------- where it came from
        row_number() over () as record_id,
        source,
        source_rank,
        load_date,
        source_object,
        source_row,

        ---------- ids
        event_id,
        user_id,

        ---------- text
        event_type,
        coalesce(currency, {{ default_value('currency') }}) as currency,
        coalesce(country, {{ default_value('country') }}) as country,
        coalesce(device, {{ default_value('device') }}) as device,

        ---------- timestamps
        occurred_at,

        ---------- numerics
        amount,
        coalesce(quantity, cast({{ default_value('quantity') }} as integer)) as quantity,

        ---------- what is known of it
        nullif(concat_ws(
            ',',
            case when currency is null then 'currency' end,
            case when country is null then 'country' end,
            case when device is null then 'device' end,
            case when quantity is null then 'quantity' end
        ), '') as defaulted_fields,
        user_id is not null
        and event_type is not null
        and occurred_at is not null
        and amount is not null as is_complete,
        coalesce(amount < min_amount or amount > max_amount, false) as is_out_of_range,
        is_amount_whole,

        ---------- why it can't be published
        reasons as failure_reasons,
        -- as received, and only of these, so that the day's table stays narrow
        case when reasons is not null then payload end as payload

    from judged

)

select * from parsed
