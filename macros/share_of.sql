{#- A part of a whole above 0 as a numeric(9, 8), rounded half up; in whole numbers, because some engines divide decimals as doubles. -#}
{% macro share_of(part, whole) -%}
    cast(
        cast({{ whole_quotient('2 * 100000000 * cast(' ~ part ~ ' as bigint) + ' ~ whole, '2 * ' ~ whole) }} as numeric(18, 0))
        * cast(0.00000001 as numeric(9, 8)) as numeric(9, 8)
    )
{%- endmacro %}

{% macro whole_quotient(dividend, divisor) -%}
    {{ adapter.dispatch('whole_quotient')(dividend, divisor) }}
{%- endmacro %}

{% macro default__whole_quotient(dividend, divisor) -%}
    ({{ dividend }}) / ({{ divisor }})
{%- endmacro %}
