-- the goal's thresholds for an entity, or for a dimension of the project's own; a row is one that is not met
{{ config(meta={'dimension': 'none', 'remedy': 'goal'}) }}

-- depends_on: {{ ref('int_quality_scores') }}
{% for one in var('thresholds') %}
select
    '{{ one.get('entity') or 'all entities' }}' as entity,
    '{{ one.dimension }}' as dimension,
    sum(attempted) as attempted,
    sum(failed) as failed,
    cast({{ one.at_least }} as numeric(9, 8)) as threshold
from {{ ref('int_quality_scores') }}
where
    dimension = '{{ one.dimension }}'
    and iteration = (select max(iteration) from {{ ref('int_quality_scores') }})
    {%- if one.get('entity') %}
    and entity = '{{ one.entity }}'
    {%- endif %}
having
    sum(attempted) > 0
    and not
    sum(attempted) - sum(failed)
    {{ '>' if one.get('strict') else '>=' }} cast({{ one.at_least }} as numeric(9, 8)) * sum(attempted)
{{ 'union all' if not loop.last }}
{% else %}
select 1 as nothing
where 1 = 0
{% endfor %}
