-- a record that is published as if nothing were wrong in a dimension passes every check of it, as it is published
{{ config(meta={'dimension': 'accuracy', 'remedy': 'escalate'}) }}

{%- set queries = [] -%}
{%- for declared in entities('publishable') if declared.fields -%}
    {%- set by_name = {} -%}
    {%- for field in declared.fields %}{% do by_name.update({field.name: field}) %}{% endfor -%}
    {%- for column in mart_of(declared.name).columns.values() if column.config.meta.get('holds') -%}
        {%- for check in declared.checks if check.fails == 'flag' and check.dimension == column.config.meta.holds -%}
            {%- set query %}
select
    '{{ declared.name }}' as entity,
    '{{ check.name }}' as check_name,
    records.source_object,
    records.source_row
from (
    select
        records.*
        {%- if check.get('from') %},
        ranges.{{ adapter.quote(check.low) }} as {{ helper(check.field, 'low') }},
        ranges.{{ adapter.quote(check.high) }} as {{ helper(check.field, 'high') }}
        {%- endif %}
    from {{ ref('int_' ~ declared.name ~ '_publishable') }} as records
    {%- if check.get('from') %}
    left join {{ relation_of(check['from']) }} as ranges
        on records.{{ adapter.quote(check.by) }} = ranges.{{ adapter.quote(check.by) }}
    {%- endif %}
    where {{ adapter.quote(column.name) }}
) as records
where {% if check.kind == 'missing' %}{{ adapter.quote(check.field) }} is null
    {%- elif check.kind == 'references' -%}
    {{ adapter.quote(check.field) }} is not null
    and exists (select 1 from {{ relation_of(check.model) }})
    and not exists (
        select 1 from {{ relation_of(check.model) }} as others
        where others.{{ adapter.quote(check.column) }} = records.{{ adapter.quote(check.field) }}
    )
    {%- else %}{{ fails_check(check, by_name) }}{% endif %}
            {%- endset -%}
            {%- do queries.append(query) -%}
        {%- endfor -%}
    {%- endfor -%}
{%- endfor -%}
{{ queries | join('\nunion all\n') if queries else 'select 1 as nothing where 1 = 0' }}
