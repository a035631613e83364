{#- The fields of a record as one JSON object, for sources that do not send JSON themselves. -#}
{% macro record_payload(fields) -%}
    {{ adapter.dispatch('record_payload')(fields) }}
{%- endmacro %}

{% macro default__record_payload(fields) -%}
    cast(json_object({% for field in fields %}'{{ field }}', {{ adapter.quote(field) }}{{ ', ' if not loop.last }}{% endfor %}) as varchar)
{%- endmacro %}
