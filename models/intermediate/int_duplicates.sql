{% for declared in entities() if declared.fields -%}
select * from (
    {{ duplicate_records(declared) }}
) as {{ declared.name }}
{{ 'union all' if not loop.last }}
{% endfor %}
