{#- Rows that a cleansing rule of the tier could correct and that were not corrected yet. -#}
{% test nothing_left_to_correct(model, corrected, tier) %}

select
    candidates.record_id,
    candidates.rule_id,
    candidates.tier
from {{ model }} as candidates
where
    candidates.tier = {{ tier }}
    and not exists (
        select 1 from {{ corrected }} as corrected
        where corrected.record_id = candidates.record_id
    )

{% endtest %}
