{#-
    A query for the common schema, from a relation with one `<field>_text` column for each field. Every feed goes through here,
    so a value is cast in one way only. `failure_reasons` lists what could not be read; null when the record can be transformed.
-#}
{% macro event_columns(relation) -%}
    select
        ---------- where it came from
        load_date,
        source_object,
        source_row,

        ---------- ids
        case when event_id not in ('{', '[') then event_id end as event_id,
        user_id,

        ---------- text
        event_type,
        currency,
        country,
        device,

        ---------- timestamps
        occurred_at,

        ---------- numerics
        amount,
        quantity,
        position('.' in amount_text) = 0 as is_amount_whole,

        ---------- what could not be read
        nullif(
            concat_ws(
                ',',
                record_error,
                case when record_error is null and event_id_text is null then 'event_id_missing' end
                {%- for field in ['user_id', 'occurred_at', 'amount', 'quantity'] %},
                case when {{ field }}_text is not null and {{ field }} is null then '{{ field }}_unparsable' end
                {%- endfor %}
                {#- json_fields gives the bracket of what is no text but an object or an array #}
                {%- for field in ['event_id', 'currency', 'country', 'device'] %},
                case when {{ field }}_text in ('{', '[') then '{{ field }}_unparsable' end
                {%- endfor %}
            ),
            ''
        ) as failure_reasons,

        ---------- as received
        payload
    from (
        select
            load_date,
            source_object,
            source_row,
            record_error,
            payload,
            event_id_text,
            user_id_text,
            occurred_at_text,
            amount_text,
            quantity_text,
            currency_text,
            country_text,
            device_text,
            {{ lower_ascii('event_id_text') }} as event_id,
            {{ lower_ascii('event_type_text') }} as event_type,
            {{ upper_ascii('currency_text') }} as currency,
            {{ upper_ascii('country_text') }} as country,
            {{ lower_ascii('device_text') }} as device,
            {{ try_cast('user_id_text', 'bigint') }} as user_id,
            {{ try_cast('occurred_at_text', 'timestamptz') }} as occurred_at,
            {{ try_cast('amount_text', 'numeric(18, 2)') }} as amount,
            {{ try_cast('quantity_text', 'integer') }} as quantity
        from {{ relation }}
        {{ computed_once() }}
    ) as typed
{%- endmacro %}
