{#-
    A published table whose unit is the day: the model's rows replace those of the load date and nothing else. The day's rows
    are first a view (`intermediate.<model>__day`). With var publish = 'each' the partition is replaced here, in the model's
    own transaction; with 'together' it is left alone, and the supervisor replaces the partitions of all published tables in one.
    Where the engine has partitions, a large table has one for each day (`partition_by_day`).
-#}
{% materialization day_partition, default %}
    {%- set target_relation = this.incorporate(type='table') -%}
    {%- set existing = load_cached_relation(this) -%}
    {%- set day = api.Relation.create(
        database=this.database, schema='intermediate', identifier=this.identifier ~ '__day', type='view'
    ) -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {%- if config.get('contract').enforced %}{{ get_assert_columns_equivalent(sql) }}{% endif -%}
    {% call statement('main') %}{{ replace_view(day, sql) }}{% endcall %}

    {%- if existing is none -%}
        {% call statement('create_target') %}{{ create_published_table(target_relation, day) }}{% endcall %}
        {% do create_indexes(target_relation) %}
    {%- else -%}
        {% do process_schema_changes('append_new_columns', day, target_relation) %}
    {%- endif -%}
    {% do ensure_day(target_relation) %}

    {%- if var('publish') == 'each' -%}
        {%- set columns = adapter.get_columns_in_relation(day) | map(attribute='quoted') | join(', ') -%}
        {% call statement('replace_day') %}
            delete from {{ target_relation }} where load_date = {{ load_date() }};
            insert into {{ target_relation }} ({{ columns }}) select {{ columns }} from {{ day }}
        {% endcall %}
    {%- elif var('publish') != 'together' -%}
        {{ exceptions.raise_compiler_error("var 'publish' is '" ~ var('publish') ~ "', not 'each' or 'together'") }}
    {%- endif -%}

    {% do persist_docs(target_relation, model) %}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}
