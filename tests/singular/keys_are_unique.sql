-- a record is published once, within the day and the look-back
{{ config(meta={'dimension': 'uniqueness', 'remedy': 'escalate'}) }}

{% for declared in entities('publishable') if declared.fields %}
select
    '{{ declared.name }}' as entity,
    {{ record_key(declared, 'records') }} as record_key,
    count(*) as count_records
from {{ ref('int_' ~ declared.name ~ '_publishable') }} as records
group by {{ quoted_list(declared.key, 'records') }}
having count(*) > 1
{{ 'union all' if not loop.last }}
{% else %}
select 1 as nothing where 1 = 0
{% endfor %}
