{#- Creates a view or gives it a new definition. -#}
{% macro replace_view(relation, sql) -%}
    {{ adapter.dispatch('replace_view')(relation, sql) }}
{%- endmacro %}

{% macro default__replace_view(relation, sql) -%}
    create or replace view {{ relation }} as {{ sql }}
{%- endmacro %}
