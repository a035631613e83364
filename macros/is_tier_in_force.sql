{#- Whether the rules of a tier are applied: up to the tier in force, less those that were tried and rolled back. -#}
{% macro is_tier_in_force(tier) -%}
    ({{ tier }} <= {{ var('cleansing_tier') | int }}
    {%- for undone in var('cleansing_tiers_undone') %} and {{ tier }} <> {{ undone | int }}{% endfor %})
{%- endmacro %}
