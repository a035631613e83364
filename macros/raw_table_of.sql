{#- The one raw table that a staging model reads from its own source, as [schema name, table name]; an error if it is not one. -#}
{% macro raw_table_of(model_name) -%}
    {%- set wanted, found = 'raw_' ~ source_of(model_name), [] -%}
    {%- for node in graph.nodes.values() if node.resource_type == 'model' and node.name == model_name -%}
        {%- for unique_id in node.depends_on.nodes if unique_id in graph.sources -%}
            {%- if graph.sources[unique_id].source_name == wanted -%}
                {%- do found.append([wanted, graph.sources[unique_id].name]) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- if found | length != 1 -%}
        {{ exceptions.raise_compiler_error(
            model_name ~ ' reads ' ~ found | length ~ ' tables of the source ' ~ wanted ~ ', not one: its records can not be counted. '
            ~ 'A staging model is for one table, and its name says the source: stg_<source>__<plural>'
        ) }}
    {%- endif -%}
    {{ return(found[0]) }}
{%- endmacro %}

{#- The feeds of all entities, as pairs of declaration and staging model: what the checked records stand on, and do not refer to. -#}
{% macro feeds_of_entities() -%}
    {%- set pairs = [] -%}
    {%- for declared in entities() if declared.fields -%}
        {%- set referred = declared.checks | map(attribute='model', default='') | list + declared.checks | map(attribute='from', default='') | list -%}
        {%- for node in graph.nodes.values() if node.resource_type == 'model' and node.name == 'int_' ~ declared.name ~ '_checked' -%}
            {%- for unique_id in node.depends_on.nodes if unique_id in graph.nodes -%}
                {%- set model = graph.nodes[unique_id] -%}
                {%- if model.resource_type == 'model' and model.name not in referred %}{% do pairs.append((declared, model.name)) %}{% endif -%}
            {%- endfor -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(pairs) }}
{%- endmacro %}
