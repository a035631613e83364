{%- set queries = [] -%}
{%- for declared in entities() -%}
    {%- for field in declared.fields if field.corrections %}{% do queries.append(correction_candidates(declared, field)) %}{% endfor -%}
{%- endfor -%}
{% for query in queries -%}
select * from (
    {{ query }}
) as candidates
{{ 'union all' if not loop.last }}
{% else -%}
select
    cast(null as {{ dbt.type_string() }}) as entity,
    cast(null as uuid) as record_id,
    cast(null as {{ dbt.type_string() }}) as source,
    cast(null as {{ dbt.type_string() }}) as source_object,
    cast(null as bigint) as source_row,
    cast(null as {{ dbt.type_string() }}) as record_key,
    cast(null as {{ dbt.type_string() }}) as field,
    cast(null as {{ dbt.type_string() }}) as rule_id,
    cast(null as integer) as tier,
    cast(null as {{ dbt.type_string() }}) as value_before,
    cast(null as {{ dbt.type_string() }}) as value_after
where 1 = 0
{%- endfor %}
