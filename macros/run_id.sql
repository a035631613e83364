{#- The run that writes, as a literal. -#}
{% macro run_id() -%}
    cast('{{ var("run_id") | string | replace("'", "''") }}' as {{ dbt.type_string() }})
{%- endmacro %}
