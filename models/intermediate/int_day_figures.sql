{%- do ref('int_duplicates') %}{% do ref('int_corrections_in_force') %}{% do entities('publishable') -%}
{% for declared in entities() if declared.fields -%}
{{ day_figures_of(declared) }}
{{ 'union all' if not loop.last }}
{% endfor %}
