{#-
    The common schema, from a relation with one `<field>_text` column for each field. Every feed goes through here, so a value
    is cast in one way only. `failure_reasons` lists what could not be cast; null when the record can be transformed.
-#}
{% macro event_columns() -%}
        ---------- where it came from
        load_date,
        source_object,
        source_row,

        ---------- ids
        lower(event_id_text) as event_id,
        {{ try_cast('user_id_text', 'bigint') }} as user_id,

        ---------- text
        lower(event_type_text) as event_type,
        upper(currency_text) as currency,
        upper(country_text) as country,
        lower(device_text) as device,

        ---------- timestamps
        {{ try_cast('occurred_at_text', 'timestamptz') }} as occurred_at,

        ---------- numerics
        {{ try_cast('amount_text', 'numeric(18, 2)') }} as amount,
        {{ try_cast('quantity_text', 'integer') }} as quantity,
        position('.' in amount_text) = 0 as is_amount_whole,

        ---------- what could not be read
        nullif(
            concat_ws(
                ',',
                record_error,
                case when record_error is null and event_id_text is null then 'event_id_missing' end,
                {%- for field, type in [
                    ('user_id', 'bigint'),
                    ('occurred_at', 'timestamptz'),
                    ('amount', 'numeric(18, 2)'),
                    ('quantity', 'integer'),
                ] %}
                case
                    when {{ field }}_text is not null and {{ try_cast(field ~ '_text', type) }} is null
                        then '{{ field }}_unparsable'
                end{{ ',' if not loop.last }}
                {%- endfor %}
            ),
            ''
        ) as failure_reasons,

        ---------- as received
        payload
{%- endmacro %}
