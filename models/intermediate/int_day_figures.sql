{%- do ref('int_duplicates') %}{% do ref('int_corrections_in_force') %}{% do entities('publishable') -%}
{% for declared in entities() if declared.fields -%}
{{ day_figures_of(declared) }}
{{ 'union all' if not loop.last }}
{% else -%}
{%- set counts = {} -%}
{%- for name in [
    'collected', 'quarantined', 'transformed', 'defaulted', 'corrected', 'duplicates', 'versions', 'anomalies', 'late', 'published',
] %}{% do counts.update({'count_' ~ name: 'bigint'}) %}{% endfor -%}
{{ no_rows(dict({'entity': dbt.type_string(), 'source': dbt.type_string(), 'load_date': 'date'}, **counts)) }}
{% endfor %}
