{#- The last day with a successful load as text, or none before the first load. -#}
{% macro last_loaded_date() -%}
    {%- set outcomes = adapter.get_relation(target.database, 'metadata', 'load_outcomes') -%}
    {%- if outcomes is none -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set found = run_query(
        "select max(load_date) as load_date from " ~ outcomes ~ " where status = 'loaded'"
    ) -%}
    {%- set day = found.columns[0].values()[0] -%}
    {{ return(none if day is none else day | string) }}
{%- endmacro %}
