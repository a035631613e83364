-- a few rows a day: partitions would cost more than they save
{{ config(meta={'partition_by_day': false}) }}

with loads as (

    {{ last_loads() }}

),

figures as (

    select * from {{ ref('int_day_figures') }}

)

select
    {{ load_date() }} as load_date,
    {{ run_id() }} as run_id,
    figures.entity,
    figures.source,
    cast(loads.load_id as {{ dbt.type_string() }}) as load_id,
    cast(loads.location as {{ dbt.type_string() }}) as source_location,
    cast('raw_' || figures.source as {{ dbt.type_string() }}) as raw_schema,
    case
        when false then cast('' as {{ dbt.type_string() }})
        {%- for declared in entities(stage=none) if declared.fields %}
        when figures.entity = '{{ declared.name }}'
            then cast('{{ declared.schema }}.{{ declared.alias }}' as {{ dbt.type_string() }})
        {%- endfor %}
        else cast('' as {{ dbt.type_string() }})
    end as target_table,
    figures.count_collected,
    figures.count_quarantined,
    figures.count_duplicates,
    figures.count_published
from figures
left join loads on figures.source = loads.source
