{#- Creates a view or gives it a new definition. -#}
{% macro replace_view(relation, sql) -%}
    {{ adapter.dispatch('replace_view')(relation, sql) }}
{%- endmacro %}

{% macro default__replace_view(relation, sql) -%}
    create or replace view {{ relation }} as {{ sql }}
{%- endmacro %}

{#- PostgreSQL replaces a view only when its columns stay as they are. -#}
{% macro postgres__replace_view(relation, sql) -%}
    do $goalkeeper$
    declare
        definition constant text := $definition${{ sql }}$definition$;
    begin
        execute 'create or replace view {{ relation }} as ' || definition;
    exception when invalid_table_definition then
        execute 'drop view {{ relation }} cascade';
        execute 'create view {{ relation }} as ' || definition;
    end
    $goalkeeper$
{%- endmacro %}
