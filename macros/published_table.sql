{#- The statement that creates a published table with the columns of its day view. -#}
{% macro create_published_table(relation, day) -%}
    {{ adapter.dispatch('create_published_table')(relation, day) }}
{%- endmacro %}

{% macro default__create_published_table(relation, day) -%}
    create table {{ relation }} as select * from {{ day }} where 1 = 0
{%- endmacro %}

{% macro postgres__create_published_table(relation, day) -%}
    create table {{ relation }} (like {{ day }})
    {%- if config.get('meta', {}).get('partition_by_day', true) %} partition by range (load_date){% endif %}
{%- endmacro %}

{#- Makes room for the day in a published table, where the engine wants that. -#}
{% macro ensure_day(relation) -%}
    {{ adapter.dispatch('ensure_day')(relation) }}
{%- endmacro %}

{% macro default__ensure_day(relation) -%}
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
