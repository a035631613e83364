-- the goal's thresholds for an entity, or for a dimension of the project's own; a row is one that is not met
{{ config(meta={'dimension': 'none', 'remedy': 'goal'}) }}

{%- set queries = [] -%}
{%- for one in var('thresholds') -%}
    {%- set query %}
select
    {{ "'" ~ one.entity ~ "'" if one.get('entity') else "'all entities'" }} as entity,
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
    and not sum(attempted) - sum(failed) {{ '>' if one.get('strict') else '>=' }} cast({{ one.at_least }} as numeric(9, 8)) * sum(attempted)
    {%- endset -%}
    {%- do queries.append(query) -%}
{%- endfor -%}
-- depends_on: {{ ref('int_quality_scores') }}
{{ queries | join('\nunion all\n') if queries else 'select 1 as nothing where 1 = 0' }}
