{#- Referential integrity, as far as there are users to refer to: without any snapshot nothing can be said. -#}
{% test user_exists(model, column_name, users) %}

select events.{{ column_name }}
from {{ model }} as events
where
    events.{{ column_name }} is not null
    and exists (select 1 from {{ users }} as known)
    and not exists (select 1 from {{ users }} as users where users.user_id = events.{{ column_name }})

{% endtest %}
