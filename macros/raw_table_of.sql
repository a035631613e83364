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
