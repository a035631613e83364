{#-
    At the end of a subquery: its columns are computed once, however often the query around it uses them. Engines that put a
    subquery's expressions into every place where they are used must be told.
-#}
{% macro computed_once() -%}
    {{ adapter.dispatch('computed_once')() }}
{%- endmacro %}

{% macro default__computed_once() -%}
{%- endmacro %}

{#- A quoted 0 is one at once; an unquoted one would have to be cast first, and that would rule out parallel workers. -#}
{% macro postgres__computed_once() -%}
    offset '0'
{%- endmacro %}
