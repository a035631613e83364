{#-
    At the end of a subquery: its columns are computed once, however often the query around it uses them. Engines that put a
    subquery's expressions into every place where they are used must be told.
-#}
{% macro computed_once() -%}
    {{ adapter.dispatch('computed_once')() }}
{%- endmacro %}

{% macro default__computed_once() -%}
{%- endmacro %}
