{#-
    The common schema's fields as clean text. `mapping` says which expression of the source each one is; a field that it does not
    name has its own name there.
-#}
{% macro event_texts(mapping={}) -%}
    {%- for field in ['event_id', 'user_id', 'event_type', 'occurred_at', 'amount', 'quantity', 'currency', 'country', 'device'] %}
        {{ clean_text(mapping.get(field, field)) }} as {{ field }}_text{{ ',' if not loop.last }}
    {%- endfor %}
{%- endmacro %}
