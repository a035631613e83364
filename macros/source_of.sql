{#- The source that a staging model reads, from its name: stg_<source>__<plural>. -#}
{% macro source_of(model_name) -%}
    {{ return(model_name.split('__')[0][4:]) }}
{%- endmacro %}
