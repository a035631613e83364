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
