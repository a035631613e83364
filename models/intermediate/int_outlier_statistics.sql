{%- set queries = [] -%}
{%- for declared in entities() -%}
    {%- for field in declared.fields if field.outlier %}{% do queries.append(outlier_statistics(declared, field)) %}{% endfor -%}
{%- endfor -%}
{% for query in queries -%}
select * from (
    {{ query }}
) as statistics
{{ 'union all' if not loop.last }}
{% else -%}
select
    cast(null as {{ dbt.type_string() }}) as entity,
    cast(null as {{ dbt.type_string() }}) as field,
    cast(null as {{ dbt.type_string() }}) as group_value,
    cast(null as bigint) as count_values,
    cast(null as double precision) as mean_value,
    cast(null as double precision) as stddev_value
where 1 = 0
{%- endfor %}
