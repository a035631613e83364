{#-
    A table that is built anew in each run, and unlogged, since what a crash takes is built again. It takes the old one's place;
    views that stood on that one come after it in the same build. Where they do not, the table is filled again in place, so that
    they keep standing.
-#}
{% materialization table, adapter='postgres' %}
    {%- set target_relation = this.incorporate(type='table') -%}
    {%- set existing = load_cached_relation(this) -%}
    {%- set new_relation = this.incorporate(path={'identifier': this.identifier ~ '__new'}, type='table') -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {%- set columns = [] -%}
    {%- if existing is not none and existing.is_table and has_standing_views(model.unique_id) -%}
        {%- set columns = adapter.get_columns_in_relation(existing) | map(attribute='name') | list -%}
    {%- endif -%}
    {%- if columns and columns == get_column_schema_from_query(sql) | map(attribute='name') | list -%}
        {% call statement('main') %}
            truncate {{ target_relation }};
            insert into {{ target_relation }} ({{ get_quoted_csv(columns) }})
            select {{ get_quoted_csv(columns) }} from ({{ sql }}) as rebuilt
        {% endcall %}
    {%- else -%}
        -- not filled by an insert: only this statement can use parallel workers
        {% call statement('main') %}
            drop table if exists {{ new_relation }} cascade;
            create unlogged table {{ new_relation }} as ({{ sql }})
        {% endcall %}
        {% do create_indexes(new_relation) %}
        {% call statement('take_its_place') %}
            {%- if existing is not none %}
            drop {{ existing.type }} if exists {{ existing }} cascade;
            {%- endif %}
            alter table {{ new_relation }} rename to "{{ this.identifier }}"
        {% endcall %}
    {%- endif -%}
    -- the joins that come next are planned by what is really there
    {% call statement('analyze') %}analyze {{ target_relation }}{% endcall %}

    {% do apply_grants(target_relation, config.get('grants'), should_revoke=true) %}
    {% do persist_docs(target_relation, model) %}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}

{#- Whether views stand on a model, one upon the other, that this invocation does not make again. -#}
{% macro has_standing_views(unique_id) -%}
    {%- for node in graph.nodes.values() if node.resource_type == 'model' and unique_id in node.depends_on.nodes -%}
        {%- if node.config.materialized in ('view', 'day_partition') -%}
            {%- if node.unique_id not in selected_resources or has_standing_views(node.unique_id) -%}
                {{ return(true) }}
            {%- endif -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(false) }}
{%- endmacro %}
