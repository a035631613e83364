{#- The double nearest to a decimal: by way of text, because engines convert large decimals with different errors. -#}
{% macro exact_double(expression) -%}
    cast(cast({{ expression }} as {{ dbt.type_string() }}) as double precision)
{%- endmacro %}
