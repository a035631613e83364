{#-
    What values are usual, from those in which nothing is wrong: how many there are, their mean and their sample standard deviation.
    One row per group of values. Sums of decimals are exact: floating-point ones depend on the order in which an engine reads the
    rows. Squares are of what lies around the mean, not around 0: those of large values leave no digits for the difference.
-#}
{% macro outlier_statistics(declared, field) -%}
    {%- set value = adapter.quote(field.name) -%}
    with usual as (

        select
            {{ outlier_group(field, 'records') }} as group_value,
            {{ value }} as value
        from {{ ref('int_' ~ declared.name ~ '_checked') }} as records
        where
            failure_reasons is null
            and {{ value }} is not null
            {%- for check in declared.checks if check.field == field.name and check.fails == 'flag' and check.kind != 'missing' %}
            and not {{ lists('flagged', check.reason) }}
            {%- endfor %}
            {%- if field.outlier.get('by') %}
            and {{ adapter.quote(field.outlier.by) }} is not null
            {%- endif %}

    ),

    means as (

        select
            group_value,
            count(*) as count_values,
            {{ exact_double('sum(value)') }} / count(*) as mean_value
        from usual
        group by group_value

    ),

    deviations as (

        select
            usual.group_value,
            cast(usual.value - cast(floor(means.mean_value) as bigint) as {{ deviation_type(field.type) }}) as deviation
        from usual
        inner join means on usual.group_value = means.group_value

    ),

    sums as (

        select
            group_value,
            {{ exact_double('sum(deviation)') }} as total,
            -- a square has twice the digits
            {{ exact_double('sum(deviation * deviation)') }} as total_of_squares
        from deviations
        group by group_value

    )

    select
        '{{ declared.name }}' as entity,
        '{{ field.name }}' as field,
        means.group_value,
        means.count_values,
        means.mean_value,
        sqrt(
            greatest(
                sums.total_of_squares - sums.total * sums.total / means.count_values,
                cast(0 as double precision)
            )
            / nullif(means.count_values - 1, 0)
        ) as stddev_value
    from means
    inner join sums on means.group_value = sums.group_value
{%- endmacro %}

{#- What a value is compared within, as text; all values of the field, when nothing is declared. -#}
{% macro outlier_group(field, relation) -%}
    {%- if field.outlier.get('by') -%}
        cast({{ relation }}.{{ adapter.quote(field.outlier.by) }} as {{ dbt.type_string() }})
    {%- else -%}
        cast('' as {{ dbt.type_string() }})
    {%- endif -%}
{%- endmacro %}

{#- The type in which deviations of a type are exact: one digit more, as far as squares of it can be summed. -#}
{% macro deviation_type(type) -%}
    {%- set parts = modules.re.fullmatch('numeric\((\d+), (\d+)\)', standard_type(type)) -%}
    {{ return('numeric(19, ' ~ parts.group(2) ~ ')' if parts and parts.group(1) | int <= 18
              else 'numeric(19, 0)' if standard_type(type) in ('bigint', 'integer', 'smallint') else 'double precision') }}
{%- endmacro %}

{#- The same for every field of every entity that declares outliers; no row where none does. -#}
{% macro outlier_statistics_of_all() -%}
    {%- set queries = [] -%}
    {%- for declared in entities() -%}
        {%- for field in declared.fields if field.outlier %}{% do queries.append(outlier_statistics(declared, field)) %}{% endfor -%}
    {%- endfor -%}
    {% for query in queries -%}
    select * from (
        {{ query }}
    ) as statistics
    {{ 'union all' if not loop.last }}
    {% else -%}
    select
        cast(null as {{ dbt.type_string() }}) as entity,
        cast(null as {{ dbt.type_string() }}) as field,
        cast(null as {{ dbt.type_string() }}) as group_value,
        cast(null as bigint) as count_values,
        cast(null as double precision) as mean_value,
        cast(null as double precision) as stddev_value
    where 1 = 0
    {%- endfor %}
{%- endmacro %}
