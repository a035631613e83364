{#-
    What the goal asks for, as the share of records that must pass: of a dimension over the whole day, or of an entity's. A list of
    entity (none: the day), dimension, threshold and strict (whether exactly the threshold fails). The four that every goal may
    name have variables of their own; `thresholds` holds all others, as {entity: orders, dimension: accuracy, at_least: 0.99}.
-#}
{% macro thresholds() -%}
    {%- set found = [] -%}
    {%- for dimension in ['completeness', 'accuracy', 'consistency'] -%}
        {%- do found.append({
            'entity': none, 'dimension': dimension, 'threshold': var(dimension ~ '_threshold'), 'strict': var(dimension ~ '_strict'),
        }) -%}
    {%- endfor -%}
    {%- do found.append({
        'entity': none, 'dimension': 'transformation', 'threshold': 1 - var('failure_rate_threshold'), 'strict': var('failure_rate_strict'),
    }) -%}
    {%- for one in var('thresholds') -%}
        {%- do found.append({
            'entity': one.get('entity'), 'dimension': one.dimension, 'threshold': one.at_least, 'strict': one.get('strict', false),
        }) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}
