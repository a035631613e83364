-- referential integrity, as far as there is something to refer to: without any snapshot nothing can be said
{{ config(meta={'dimension': 'consistency', 'remedy': 'escalate'}) }}

{% for declared, check in checks_of_kind('references', 'publishable') if check.fails == 'reject' %}
select
    '{{ declared.name }}.{{ check.field }}' as reference,
    cast(records.{{ adapter.quote(check.field) }} as {{ dbt.type_string() }}) as value
from {{ ref('int_' ~ declared.name ~ '_publishable') }} as records
where
    records.{{ adapter.quote(check.field) }} is not null
    and exists (select 1 from {{ relation_of(check.model) }})
    and not exists (
        select 1 from {{ relation_of(check.model) }} as others
        where others.{{ adapter.quote(check.column) }} = records.{{ adapter.quote(check.field) }}
    )
{{ 'union all' if not loop.last }}
{% else %}
select 1 as nothing
where 1 = 0
{% endfor %}
