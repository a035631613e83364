-- what must not be missing is there: fields without which a record is rejected, those with a default, and its place
{{ config(meta={'dimension': 'schema', 'remedy': 'escalate'}) }}

{% for declared in entities('publishable') if declared.fields %}
select
    '{{ declared.name }}' as entity,
    source,
    source_object,
    source_row
from {{ ref('int_' ~ declared.name ~ '_publishable') }}
where
    source is null or load_date is null or source_object is null or source_row is null
    {%- for field in declared.fields if field.missing in ('reject', 'default') %}
    or {{ adapter.quote(field.name) }} is null
    {%- endfor %}
{{ 'union all' if not loop.last }}
{% else %}
select 1 as nothing where 1 = 0
{% endfor %}
