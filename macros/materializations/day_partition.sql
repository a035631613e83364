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
        {%- if config.get('contract').enforced %}{% do check_column_types(day, target_relation) %}{% endif -%}
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

{#- Refuses a table with another type than its contract: what is inserted is cast without a word, as 1.60 to 2 in a bigint. -#}
{% macro check_column_types(day, table) -%}
    {%- set kept = {} -%}
    {%- for column in adapter.get_columns_in_relation(table) %}{% do kept.update({column.name: column.data_type}) %}{% endfor -%}
    {%- for column in adapter.get_columns_in_relation(day) if kept.get(column.name, column.data_type) != column.data_type -%}
        {{ exceptions.raise_compiler_error(
            table.schema ~ '.' ~ table.identifier ~ ': the table has ' ~ column.name ~ ' as ' ~ kept[column.name] ~ ', and its contract as '
            ~ column.data_type ~ ', so its values would be changed on their way. Rename the table and load its days again, '
            ~ 'or change the column and see that its earlier days are right: alter table ' ~ table.schema ~ '.' ~ table.identifier
            ~ ' alter column ' ~ column.quoted ~ ' type ' ~ column.data_type
        ) }}
    {%- endfor -%}
{%- endmacro %}
