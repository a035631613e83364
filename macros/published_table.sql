{#- The statement that creates a published table with the columns of its day view. -#}
{% macro create_published_table(relation, day) -%}
    {{ adapter.dispatch('create_published_table')(relation, day) }}
{%- endmacro %}

{% macro default__create_published_table(relation, day) -%}
    create table {{ relation }} as select * from {{ day }} where 1 = 0
{%- endmacro %}

{#- Makes room for the day in a published table, where the engine wants that. -#}
{% macro ensure_day(relation) -%}
    {{ adapter.dispatch('ensure_day')(relation) }}
{%- endmacro %}

{% macro default__ensure_day(relation) -%}
{%- endmacro %}
