{#- What PostgreSQL does in a way of its own; a macro of the same name without the prefix says what each is for. -#}

{#- A quoted 0 is one at once; an unquoted one would have to be cast first, and that would rule out parallel workers. -#}
{% macro postgres__computed_once() -%}
    offset '0'
{%- endmacro %}

{% macro postgres__fold_case(expression, case) -%}
    {{ case }}({{ expression }} collate "C") collate "default"
{%- endmacro %}

{% macro postgres__in_byte_order(expression) -%}
    {{ expression }} collate "C"
{%- endmacro %}

{% macro postgres__json_fields(relation, document, fields) -%}
    {%- set keys, nested = [], [] -%}
    {%- for path in fields.values() -%}
        {%- if path[0] not in keys %}{% do keys.append(path[0]) %}{% endif -%}
        {%- if path | length > 1 %}{% do nested.append(path[0]) %}{% endif -%}
    {%- endfor %}
    select
        received.*,
        received.json_document is not null as is_json_object
        {%- for column, path in fields.items() %}
        {%- set value -%}
            document."{{ path[0] }}"{% if path[0] in nested %} #>> '{ {{- path[1:] | join(',') -}} }'{% endif %}
        {%- endset %},
        case
            -- a string may begin with a bracket too
            when left({{ value }}, 1) in ('{', '[')
                and json_typeof(cast(received.json_document as json) #> '{ {{- path | join(',') -}} }') <> 'string'
                then left({{ value }}, 1)
            else {{ value }}
        end as {{ column }}
        {%- endfor %}
    from (
        select
            *,
            {{ postgres_json_document_or_null(document) }} as json_document
        from {{ relation }}
        {{ computed_once() }}
    ) as received
    left join lateral json_to_record(cast(received.json_document as json)) as document (
        {%- for key in keys %}
        "{{ key }}" {{ 'json' if key in nested else 'text' }}{{ ',' if not loop.last }}
        {%- endfor %}
    ) on true
{%- endmacro %}

{% macro postgres_json_document_or_null(document) -%}
    case
        when octet_length({{ document }}) > 4000
            and octet_length({{ document }}) - octet_length(replace(replace({{ document }}, '{', ''), '[', '')) > 2000 then null
        -- jsonb is the type that looks into escapes
        when position('\u' in {{ document }}) > 0 and not pg_input_is_valid({{ document }}, 'jsonb') then null
        when {{ document }} is json object with unique keys then {{ document }}
    end
{%- endmacro %}

{% macro postgres__create_published_table(relation, day) -%}
    create table {{ relation }} (like {{ day }})
    {%- if config.get('meta', {}).get('partition_by_day', true) %} partition by range (load_date){% endif %}
{%- endmacro %}

{#-
    The day's partition, unless one holds that day already (whoever merges old days into a month may do so). It is attached and
    not created as a partition: that would lock readers out. Partitions lie in a schema of their own, where neither people nor
    dbt have to look through them.
-#}
{% macro postgres__ensure_day(relation) -%}
    {%- set day = load_day() -%}
    {%- set partition = relation.incorporate(path={
        'schema': 'day_partitions',
        'identifier': relation.schema ~ '_' ~ relation.identifier ~ '_' ~ day | replace('-', '_'),
    }) -%}
    {% call statement('ensure_day') %}
    do $goalkeeper$
    begin
        if exists (
            select from pg_class where oid = '{{ relation }}'::regclass and relkind = 'p'
        ) and not exists (
            select from pg_inherits
            inner join pg_class on pg_class.oid = inhrelid
            cross join lateral regexp_match(
                pg_get_expr(relpartbound, pg_class.oid), $$FROM \('?([^')]*)'?\) TO \('?([^')]*)'?\)$$
            ) as bounds (value)
            where
                inhparent = '{{ relation }}'::regclass
                -- bounds are written in the session's date style, so they are read in it
                and case bounds.value[1] when 'MINVALUE' then true else cast(bounds.value[1] as date) <= {{ load_date() }} end
                and case bounds.value[2] when 'MAXVALUE' then true else cast(bounds.value[2] as date) > {{ load_date() }} end
        ) then
            if to_regnamespace('day_partitions') is null then
                begin
                    create schema day_partitions;
                exception when duplicate_schema or unique_violation then
                    -- another model of this build was faster
                    null;
                end;
            end if;
            create table {{ partition }} (like {{ relation }} including defaults including constraints);
            alter table {{ relation }} attach partition {{ partition }}
            for values from ({{ load_date() }}) to ({{ load_date() }} + 1);
        end if;
    end
    $goalkeeper$
    {% endcall %}
{%- endmacro %}

{#- json_build_object would put spaces between its parts. -#}
{% macro postgres__record_payload(fields) -%}
    concat(
        {%- for field in fields %}
        '{{ '{' if loop.first else ',' }}"{{ field }}":', coalesce(cast(to_json({{ adapter.quote(field) }}) as text), 'null'),
        {%- endfor %}
        '}'
    )
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

{#- Numbers of the accepted form always cast, and asking would cost as much as casting; of dates the 30th of February must be asked. -#}
{% macro postgres__try_cast(expression, type, form) -%}
    case
        when {% if form %}{{ expression }} ~ '{{ form }}'{% else %}pg_input_is_valid({{ expression }}, '{{ type }}'){% endif %}
        {%- if type in ('date', 'timestamp', 'timestamptz', 'double precision') %} and pg_input_is_valid({{ expression }}, '{{ type }}'){% endif %}
            then cast({{ expression }} as {{ type }})
    end
{%- endmacro %}

{% macro postgres__matches_pattern(expression, pattern) -%}
    {{ expression }} ~ {{ pattern }}
{%- endmacro %}

{% macro postgres__new_record_id() -%}
    cast(lpad(to_hex(row_number() over ()), 32, '0') as uuid)
{%- endmacro %}

{% macro postgres__split(expression) -%}
    string_to_array({{ expression }}, ',')
{%- endmacro %}

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

{#-
    A view that is replaced in place, so that what stands on it keeps standing. The adapter's own way makes a new view and drops
    the old one with all its dependents, which would take the day views away whenever a part of the day is built again. Only when
    the columns have changed is the view dropped with its dependents; they come after it in the same build.
-#}
{% materialization view, adapter='postgres' %}
    {%- set target_relation = this.incorporate(type='view') -%}
    {%- set existing = load_cached_relation(this) -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {%- if existing is not none and existing.type != 'view' -%}
        {% do adapter.drop_relation(existing) %}
    {%- endif -%}
    {% call statement('main') %}{{ replace_view(target_relation, sql) }}{% endcall %}

    {% do apply_grants(target_relation, config.get('grants'), should_revoke=true) %}
    {% do persist_docs(target_relation, model) %}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}
