-- freshness: the newest record of each source must be of the load date or later. A row is a source that sent old data
{{ config(severity='warn', meta={'dimension': 'freshness', 'remedy': 'report'}) }}

{% for declared in entities('publishable') if declared.event_time %}
select
    '{{ declared.name }}' as entity,
    source,
    max({{ adapter.quote(declared.event_time) }}) as newest
from {{ ref('int_' ~ declared.name ~ '_publishable') }}
group by source
having max({{ adapter.quote(declared.event_time) }}) < cast({{ load_date() }} as timestamptz)
{{ 'union all' if not loop.last }}
{% else %}
select 1 as nothing
where 1 = 0
{% endfor %}
