with found as (
    {% for declared in entities() if declared.fields %}
    {{ findings_of(declared) }}
    {{ 'union all' if not loop.last }}
    {%- else %}
    {{ no_rows({
        'entity': dbt.type_string(),
        'record_id': 'uuid',
        'source': dbt.type_string(),
        'source_object': dbt.type_string(),
        'source_row': 'bigint',
        'record_key': dbt.type_string(),
        'dimension': dbt.type_string(),
        'check_name': dbt.type_string(),
        'field': dbt.type_string(),
        'outcome': dbt.type_string(),
    }) }}
    {%- endfor %}
    {%- for model in var('checks') %}
    union all
    select
        entity,
        record_id,
        source,
        source_object,
        source_row,
        record_key,
        dimension,
        check_name,
        field,
        outcome
    from {{ ref(model) }}
    {%- endfor %}

),

corrections as (

    select
        entity,
        record_id,
        field
    from {{ ref('int_corrections_in_force') }}

)

select
    found.entity,
    found.record_id,
    found.source,
    found.source_object,
    found.source_row,
    found.record_key,
    found.dimension,
    found.check_name,
    found.field,
    case when corrections.record_id is not null then 'corrected' else found.outcome end as outcome
from found
left join corrections
    on
        found.outcome = 'flagged'
        and found.entity = corrections.entity
        and found.record_id = corrections.record_id
        and found.field = corrections.field
