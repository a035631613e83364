{#-
    Keeps only the measurements of this day before this iteration, so that repeating an iteration changes nothing and the
    first one starts a new day.
-#}
{% macro forget_measurements() -%}
    {%- if is_incremental() -%}
        delete from {{ this }} where load_date <> {{ load_date() }} or iteration >= {{ var('iteration') | int }}
    {%- endif -%}
{%- endmacro %}
