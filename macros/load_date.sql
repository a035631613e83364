{#- The day being built, as a literal. -#}
{% macro load_date() -%}
    cast('{{ load_day() }}' as date)
{%- endmacro %}

{#- The day being built, as text: the var, or the last day that was loaded. -#}
{% macro load_day() -%}
    {%- set day = var('load_date', none) -%}
    {%- if day is none and execute -%}
        {%- set day = last_loaded_date() -%}
    {%- endif -%}
    {%- if day is none -%}
        {%- set day = '0001-01-01' -%}
    {%- endif -%}
    {%- if not modules.re.fullmatch('\d{4}-\d{2}-\d{2}', day | string) -%}
        {{ exceptions.raise_compiler_error("var 'load_date' is '" ~ day ~ "', not a date such as 2025-11-16") }}
    {%- endif -%}
    {{ return(day | string) }}
{%- endmacro %}
