{#-
    Text in lower or upper case as far as it is ASCII, whatever the database's language: a Turkish one would make "ı" of "I", and
    engines know different versions of Unicode. Ids and codes are ASCII where they are right.
-#}
{% macro lower_ascii(expression) -%}
    {{ adapter.dispatch('fold_case')(expression, 'lower') }}
{%- endmacro %}

{% macro upper_ascii(expression) -%}
    {{ adapter.dispatch('fold_case')(expression, 'upper') }}
{%- endmacro %}

{% macro default__fold_case(expression, case) -%}
    {%- set letters = ['ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'] -%}
    {%- set given, wanted = (letters[0], letters[1]) if case == 'lower' else (letters[1], letters[0]) -%}
    case
        when {{ is_ascii(expression) }} then {{ case }}({{ expression }})
        else translate({{ expression }}, '{{ given }}', '{{ wanted }}')
    end
{%- endmacro %}
