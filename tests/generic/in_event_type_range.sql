{#- What is said to be in range is in its event type's range. -#}
{% test in_event_type_range(model, column_name, event_types) %}

select
    events.event_id,
    events.{{ column_name }}
from {{ model }} as events
inner join {{ event_types }} as event_types on events.event_type = event_types.event_type
where
    events.is_in_range
    and (events.{{ column_name }} < event_types.min_amount or events.{{ column_name }} > event_types.max_amount)

{% endtest %}
