with open_records as (
    {% for declared in entities() if declared.fields %}
    select
        load_date,
        '{{ declared.name }}' as entity,
        source,
        source_object,
        source_row,
        {{ record_key(declared) }} as record_key,
        failure_reasons as reasons,
        payload,
        {{ run_id() }} as run_id,
        'open' as status,
        cast(null as {{ dbt.type_string() }}) as replayed_by_run
    from {{ ref('int_' ~ declared.name ~ '_checked') }}
    where failure_reasons is not null
    {{ 'union all' if not loop.last }}
    {%- else %}
    {{ no_rows({
        'load_date': 'date',
        'entity': dbt.type_string(),
        'source': dbt.type_string(),
        'source_object': dbt.type_string(),
        'source_row': 'bigint',
        'record_key': dbt.type_string(),
        'reasons': dbt.type_string(),
        'payload': dbt.type_string(),
        'run_id': dbt.type_string(),
        'status': dbt.type_string(),
        'replayed_by_run': dbt.type_string(),
    }) }}
    {%- endfor %}

),

-- what was quarantined once and passes now stays as history
replayed_records as (

    select
        load_date,
        entity,
        source,
        source_object,
        source_row,
        record_key,
        reasons,
        payload,
        run_id,
        'replayed' as status,
        replayed_by_run
    from {{ ref('int_records_replayed') }}

),

quarantined as (

    select * from open_records
    union all
    select * from replayed_records

)

select * from quarantined
