{#- Freshness: the newest record of each source must be of the load date or later. A row is a source that sent old data. -#}
{% test within_day(model, column_name) %}

select
    source,
    max({{ column_name }}) as newest
from {{ model }}
group by source
having max({{ column_name }}) < cast({{ load_date() }} as timestamptz)

{% endtest %}
