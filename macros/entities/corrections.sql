{#-
    What a rule of the declaration can put right: flagged values where the evidence is there and the corrected value fails no check of
    its field. One row per record and field, with the first rule by tier. An expression of a rule sees every field of the record,
    <field>__text (the value as it was received) and the columns of the model that the field's range comes from.
-#}
{% macro correction_candidates(declared, field) -%}
    {%- set value, checks = adapter.quote(field.name), [] -%}
    {%- set by_name = {} -%}
    {%- for one in declared.fields %}{% do by_name.update({one.name: one}) %}{% endfor -%}
    {%- for check in declared.checks if check.field == field.name and check.fails == 'flag' and check.kind in ('between', 'one_of', 'matches', 'expression') -%}
        {%- do checks.append(check) -%}
    {%- endfor -%}
    {%- set lookups = checks | selectattr('from', 'defined') | list -%}
    {%- set others = declared.fields | map(attribute='name') | reject('equalto', field.name) | list -%}
    with violations as (

        select
            record_id,
            source,
            source_object,
            source_row
            {%- for one in declared.fields %},
            {{ with_room(one) }} as {{ adapter.quote(one.name) }}
            {%- if one.corrections %},
            {{ helper(one.name, 'text') }}
            {%- endif %}
            {%- endfor %}
        from {{ ref('int_' ~ declared.name ~ '_checked') }}
        where
            flagged is not null
            and ({% for check in checks %}{{ lists('flagged', check.reason) }}{{ ' or ' if not loop.last }}{% endfor %})

    ),

    looked_up as (

        select
            violations.*
            {%- for check in lookups %}
            {%- set relation = relation_of(check['from']) %}
            {%- set columns = columns_of(relation) | reject('in', declared.fields | map(attribute='name') | list) | list %}
            {%- for column in columns %},
            {{ check['from'] }}.{{ adapter.quote(column) }}
            {%- endfor %},
            {{ check['from'] }}.{{ adapter.quote(check.low) }} as {{ helper(field.name, 'low') }},
            {{ check['from'] }}.{{ adapter.quote(check.high) }} as {{ helper(field.name, 'high') }}
            {%- endfor %}
        from violations
        {%- for check in lookups %}
        left join {{ relation_of(check['from']) }} as {{ check['from'] }} on violations.{{ adapter.quote(check.by) }} = {{ check['from'] }}.{{ adapter.quote(check.by) }}
        {%- endfor %}

    ),

    attempted as (
        {% for rule in field.corrections %}
        select
            *,
            '{{ rule.rule_id }}' as rule__id,
            {{ rule.tier | int }} as rule__tier,
            {{ rounded(rule['set'], field.type) }} as {{ helper(field.name, 'corrected') }}
        from looked_up
        where {{ rule.get('when', 'true') }}
        {{ 'union all' if not loop.last }}
        {%- endfor %}

    ),

    -- as if the record had come so: the checks look at it as they look at any other
    corrected as (

        select
            record_id,
            source,
            source_object,
            source_row,
            rule__id,
            rule__tier,
            {{ value }} as {{ helper(field.name, 'before') }},
            {{ helper(field.name, 'corrected') }} as {{ value }}
            {%- for other in others %},
            {{ adapter.quote(other) }}
            {%- endfor %}
            {%- if lookups %},
            {{ helper(field.name, 'low') }},
            {{ helper(field.name, 'high') }}
            {%- endif %}
        from attempted

    ),

    ranked as (

        select
            *,
            row_number() over (partition by record_id order by rule__tier, {{ in_byte_order('rule__id') }}) as choice
        from corrected
        where
            {{ value }} is not null
            {%- for check in checks %}
            and not coalesce({{ fails_check(check, by_name) }}, false)
            {%- endfor %}

    )

    select
        '{{ declared.name }}' as entity,
        record_id,
        source,
        source_object,
        source_row,
        {{ record_key(declared) }} as record_key,
        '{{ field.name }}' as field,
        rule__id as rule_id,
        rule__tier as tier,
        cast({{ helper(field.name, 'before') }} as {{ dbt.type_string() }}) as value_before,
        cast(cast({{ value }} as {{ field.type }}) as {{ dbt.type_string() }}) as value_after
    from ranked
    where choice = 1
{%- endmacro %}

{#- A field with room for what a rule makes of it: an engine may keep a product as narrow as its factors, and fail where it is not. -#}
{% macro with_room(field) -%}
    {%- set parts = modules.re.fullmatch('numeric\((\d+), (\d+)\)', standard_type(field.type)) -%}
    {%- if parts and parts.group(1) | int <= 18 -%}
        cast({{ adapter.quote(field.name) }} as numeric(20, {{ parts.group(2) }}))
    {%- elif standard_type(field.type) in ('bigint', 'integer', 'smallint') -%}
        cast({{ adapter.quote(field.name) }} as numeric(20, 0))
    {%- else -%}
        {{ adapter.quote(field.name) }}
    {%- endif -%}
{%- endmacro %}

{#- An expression in a field's precision, before it is narrowed: a value that is too wide must fail its check, not its cast. -#}
{% macro rounded(expression, type) -%}
    {%- set parts = modules.re.fullmatch('numeric\((\d+), (\d+)\)', standard_type(type)) -%}
    {{ 'round(' ~ expression ~ ', ' ~ parts.group(2) ~ ')' if parts else expression }}
{%- endmacro %}

{#- The same for every field of every entity that declares corrections; no row where none does. -#}
{% macro correction_candidates_of_all() -%}
    {%- set queries = [] -%}
    {%- for declared in entities() -%}
        {%- for field in declared.fields if field.corrections %}{% do queries.append(correction_candidates(declared, field)) %}{% endfor -%}
    {%- endfor -%}
    {% for query in queries -%}
    select * from (
        {{ query }}
    ) as candidates
    {{ 'union all' if not loop.last }}
    {% else -%}
    select
        cast(null as {{ dbt.type_string() }}) as entity,
        cast(null as uuid) as record_id,
        cast(null as {{ dbt.type_string() }}) as source,
        cast(null as {{ dbt.type_string() }}) as source_object,
        cast(null as bigint) as source_row,
        cast(null as {{ dbt.type_string() }}) as record_key,
        cast(null as {{ dbt.type_string() }}) as field,
        cast(null as {{ dbt.type_string() }}) as rule_id,
        cast(null as integer) as tier,
        cast(null as {{ dbt.type_string() }}) as value_before,
        cast(null as {{ dbt.type_string() }}) as value_after
    where 1 = 0
    {%- endfor %}
{%- endmacro %}

{#- The default of a finding's entity and field, as text. -#}
{% macro default_as_text() -%}
    case
            when false then ''
        {%- for declared in entities() %}{% for field in declared.fields if field.missing == 'default' %}
            when entity = '{{ declared.name }}' and field = '{{ field.name }}'
                then '{{ field.default | string | replace("'", "''") }}'
        {%- endfor %}{% endfor %}
            else ''
        end
{%- endmacro %}
