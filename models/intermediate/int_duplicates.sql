{% for declared in entities() if declared.fields -%}
select * from (
    {{ duplicate_records(declared) }}
) as {{ declared.name }}
{{ 'union all' if not loop.last }}
{% else -%}
{{ no_rows({
    'entity': dbt.type_string(),
    'record_id': 'uuid',
    'source': dbt.type_string(),
    'record_key': dbt.type_string(),
    'kind': dbt.type_string(),
    'has_other_values': 'boolean',
}) }}
{% endfor %}
