{#-
    Records whose key another record of the day, or an earlier day within the look-back, has delivered already. One row per losing
    record, with whether it said the same. `first`: the first feed, object and row wins, and an earlier day wins over this one;
    `newest`: the greatest value of the field that orders versions wins, and each day publishes its own.
-#}
{% macro duplicate_records(declared) -%}
    {%- set fields = declared.fields | rejectattr('name', 'in', declared.key) | list -%}
    with transformed as not materialized (

        select * from {{ ref('int_' ~ declared.name ~ '_checked') }}
        where failure_reasons is null

    ),

    -- ranking every record would sort the whole day: only keys that repeat can lose. Found once, not by each worker
    repeated_keys as materialized (

        select {{ quoted_list(declared.key) }}
        from transformed
        group by {{ quoted_list(declared.key) }}
        having count(*) > 1

    ),

    ranked as (

        select
            transformed.*,
            row_number() over (
                partition by {{ quoted_list(declared.key, 'transformed') }}
                order by
                    {%- if declared.keep == 'newest' %}
                    transformed.{{ adapter.quote(declared.by) }} desc nulls last,
                    {%- endif %}
                    transformed.source_rank,
                    {{ in_byte_order('transformed.source_object') }},
                    transformed.source_row
            ) as arrival
        from transformed
        inner join repeated_keys on {{ same_key(declared, 'transformed', 'repeated_keys') }}

    ),

    repeated_today as (

        select
            losing.*,
            {{ differ(fields, 'losing', 'winning') }} as has_other_values
        from ranked as losing
        inner join ranked as winning on winning.arrival = 1 and {{ same_key(declared, 'losing', 'winning') }}
        where losing.arrival > 1

    )
    {%- if declared.keep == 'first' %},

    -- joined, so that an engine can hold today's keys and pass the earlier ones by them, whatever their number
    published_before as (

        {{ published_within(declared, fields) }}

    ),

    returned_keys as (

        select distinct {{ quoted_list(declared.key, 'published_before') }}
        from published_before
        inner join transformed on {{ same_key(declared, 'published_before', 'transformed') }}

    ),

    returned as (

        select
            transformed.*,
            row_number() over (partition by transformed.record_id order by published_before.load_date) as place,
            {{ differ(fields, 'transformed', 'published_before') }} as has_other_values
        from transformed
        inner join returned_keys on {{ same_key(declared, 'transformed', 'returned_keys') }}
        inner join published_before on {{ same_key(declared, 'transformed', 'published_before') }}
        where
            not exists (
                select 1 from repeated_today
                where repeated_today.record_id = transformed.record_id
            )

    )
    {%- endif %}

    {% for relation, kind in [('repeated_today', 'same_day'), ('returned', 'earlier_day')] if kind == 'same_day' or declared.keep == 'first' %}
    {{ 'union all' if not loop.first }}
    select
        '{{ declared.name }}' as entity,
        record_id,
        source,
        {{ record_key(declared) }} as record_key,
        '{{ kind }}' as kind,
        has_other_values
    from {{ relation }}
    {%- if kind == 'earlier_day' %}
    where place = 1
    {%- endif %}
    {%- endfor %}
{%- endmacro %}

{#-
    What an entity has published in the days before the one being built, within its look-back. Not a ref: the mart comes after this
    in the graph, and what is read here are other days' partitions. A column that the mart did not have then is null.
-#}
{% macro published_within(declared, fields) -%}
    {%- set mart = adapter.get_relation(target.database, declared.schema, declared.alias) if execute -%}
    {%- set present = columns_of(mart) if mart is not none and mart else [] -%}
    select
        {%- for field in declared.fields %}
        {{ adapter.quote(field.name) if field.name in present else 'cast(null as ' ~ field.type ~ ') as ' ~ adapter.quote(field.name) }},
        {%- endfor %}
        {{ 'load_date' if present else 'cast(null as date) as load_date' }}
    {%- if present %}
    from {{ mart }}
    where load_date >= {{ load_date() }} - {{ declared.lookback_days | int }} and load_date < {{ load_date() }}
    {%- else %}
    where 1 = 0
    {%- endif %}
{%- endmacro %}

{% macro quoted_list(names, relation='') -%}
    {%- for name in names %}{{ relation ~ '.' if relation }}{{ adapter.quote(name) }}{{ ', ' if not loop.last }}{% endfor -%}
{%- endmacro %}

{% macro same_key(declared, left, right) -%}
    {%- for name in declared.key %}{{ left }}.{{ adapter.quote(name) }} = {{ right }}.{{ adapter.quote(name) }}{{ ' and ' if not loop.last }}{% endfor -%}
{%- endmacro %}

{#- Whether two records differ in one of the fields. -#}
{% macro differ(fields, left, right) -%}
    (
    {%- for field in fields %}
                {{ 'or ' if not loop.first }}{{ comparable(field, left) }} is distinct from {{ comparable(field, right) }}
    {%- else %}false
    {%- endfor %}
            )
{%- endmacro %}

{% macro comparable(field, relation) -%}
    {%- set value = relation ~ '.' ~ adapter.quote(field.name) -%}
    {{ 'cast(' ~ value ~ ' as ' ~ dbt.type_string() ~ ')' if standard_type(field.type) == 'json' else value }}
{%- endmacro %}

{#- The same for every entity. -#}
{% macro duplicates_of_all() -%}
    {% for declared in entities() if declared.fields -%}
    select * from (
        {{ duplicate_records(declared) }}
    ) as {{ declared.name }}
    {{ 'union all' if not loop.last }}
    {% else -%}
    {{ no_rows({
        'entity': dbt.type_string(),
        'record_id': 'uuid',
        'source': dbt.type_string(),
        'record_key': dbt.type_string(),
        'kind': dbt.type_string(),
        'has_other_values': 'boolean',
    }) }}
    {% endfor %}
{%- endmacro %}
