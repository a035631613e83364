{#- The day's rows of a published table, before or after they are published. -#}
{% macro day_of(published) -%}
    {{ api.Relation.create(database=published.database, schema='intermediate', identifier=published.identifier ~ '__day') }}
{%- endmacro %}
