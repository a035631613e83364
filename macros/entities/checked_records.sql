{#-
    Every record of an entity's feeds, typed as the mart declares it, with what it fails: one pass over the day. One row per record:
    record_id, source, source_rank (who wins among duplicates, 1 first), load_date, source_object, source_row, the fields,
    failure_reasons and flagged (names of checks, comma-separated; null when there are none), defaulted_fields, payload (as received,
    only of rejected records, so that the table stays narrow), and <field>__text (as received, only of records that a correction
    may help).

    A record that is rejected counts in the failure rate and in nothing else, so it is flagged for nothing. A value that is missing
    is not unparsable too, and a default is checked like any value.

    feeds: staging models, in the order in which they win. references: the models that the declaration refers to, because dbt
    must know them before it reads the declaration; the reasons of records that they reject come in this order.
-#}
{% macro checked_records(name, feeds, references=[]) -%}
    {%- set relations = {} -%}
    {%- for model in feeds + references %}{% do relations.update({model: ref(model)}) %}{% endfor -%}
    {%- set declared = entity(name) -%}
    {%- set lookups = lookups_of(declared, relations) -%}
    {%- set rejecting, flagging = checks_that(declared, 'reject'), checks_that(declared, 'flag') -%}
    {#- in the order in which the references are passed: so are their reasons -#}
    {%- set referring = [] -%}
    {%- for model in references -%}
        {%- do referring.extend(rejecting | selectattr('kind', 'equalto', 'references') | selectattr('model', 'equalto', model) | list) -%}
    {%- endfor -%}
    {%- set position = 'source, source_rank, load_date, source_object, source_row, record_error, payload' -%}
with received as (
    {% for feed in feeds %}
    {%- set delivered = columns_of(relations[feed]) %}
    select
        '{{ source_of(feed) }}' as source,
        {{ loop.index }} as source_rank,
        load_date,
        source_object,
        source_row,
        record_error,
        payload
        {%- for field in declared.fields %},
        {{ adapter.quote(field.name) if not delivered or field.name in delivered else 'cast(null as ' ~ dbt.type_string() ~ ') as ' ~ adapter.quote(field.name) }}
        {%- endfor %}
    from {{ relations[feed] }}
    {{ 'union all' if not loop.last }}
    {%- else %}
    {%- set columns = {
        'source': dbt.type_string(), 'source_rank': 'integer', 'load_date': 'date', 'source_object': dbt.type_string(),
        'source_row': 'bigint', 'record_error': dbt.type_string(), 'payload': dbt.type_string(),
    } -%}
    {%- for field in declared.fields %}{% do columns.update({field.name: dbt.type_string()}) %}{% endfor %}
    {{ no_rows(columns) }}
    {%- endfor %}

),

cleaned as (

    select
        {{ position }}
        {%- for field in declared.fields %},
        {{ clean_text(adapter.quote(field.name)) }} as {{ helper(field.name, 'text') }}
        {%- endfor %}
    from received
    {{ computed_once() }}

),

typed as (

    select
        {{ position }}
        {%- for field in declared.fields %},
        {{ helper(field.name, 'text') }},
        {{ typed_value(field, helper(field.name, 'text')) }} as {{ adapter.quote(field.name) }}
        {%- endfor %}
    from cleaned
    {{ computed_once() }}

),

looked_up as (

    select
        typed.*
        {%- for lookup in lookups %}{% for column in lookup.columns %},
        {{ lookup.alias }}.{{ adapter.quote(column.column) }} as {{ column.name }}
        {%- endfor %}{% endfor %}
    from typed
    {%- for lookup in lookups %}
    left join (
        {%- if lookup.columns | map(attribute='column') | list == [lookup.on] %}
        select distinct {{ adapter.quote(lookup.on) }} from {{ lookup.relation }}
        {%- else %}
        select {% for column in lookup.selected %}{{ adapter.quote(column) }}{{ ', ' if not loop.last }}{% endfor %} from {{ lookup.relation }}
        {%- endif %}
    ) as {{ lookup.alias }} on typed.{{ adapter.quote(lookup.by) }} = {{ lookup.alias }}.{{ adapter.quote(lookup.on) }}
    {%- endfor %}

),

checked as (

    select
        looked_up.*,
        {{ names_that_hold(
            [('record_error', 'record_error is not null')]
            + failures(declared, rejecting | selectattr('kind', 'equalto', 'missing') | list, relations)
            + unparsable(declared)
            + failures(declared, rejecting | rejectattr('kind', 'in', ['missing', 'references']) | list + referring, relations)
        ) }} as reasons,
        {{ names_that_hold(failures(declared, flagging, relations)) }} as flags,
        {{ names_that_hold(defaulted(declared)) }} as defaulted_fields
    from looked_up
    {{ computed_once() }}

)

select
    ---------- where it came from
    {{ new_record_id() }} as record_id,
    source,
    source_rank,
    load_date,
    source_object,
    source_row,

    ---------- what it says
    {%- for field in declared.fields %}
    {{ adapter.quote(field.name) }},
    {%- endfor %}

    ---------- what is wrong with it
    reasons as failure_reasons,
    case when reasons is null then flags end as flagged,
    case when reasons is null then defaulted_fields end as defaulted_fields,
    {%- for field in declared.fields if field.corrections %}
    case when reasons is null and flags is not null then {{ helper(field.name, 'text') }} end as {{ helper(field.name, 'text') }},
    {%- endfor %}
    case when reasons is not null then payload end as payload
from checked
{%- endmacro %}

{#-
    What no other record of this build has. A number would do, but DuckDB numbers records on one core only; PostgreSQL numbers them
    behind its workers, and a random id there costs as much as all else that is done with a record.
-#}
{% macro new_record_id() -%}
    {{ adapter.dispatch('new_record_id')() }}
{%- endmacro %}

{% macro default__new_record_id() -%}
    gen_random_uuid()
{%- endmacro %}

{#- A column beside a field: two underscores, which no field may have. -#}
{% macro helper(field, name) -%}
    {{ adapter.quote(field ~ '__' ~ name) }}
{%- endmacro %}

{#- The columns of a relation as the engine has it; none when it can't be asked, as in a unit test. -#}
{% macro columns_of(relation) -%}
    {{ return(adapter.get_columns_in_relation(relation) | map(attribute='name') | list if execute else []) }}
{%- endmacro %}

{#- The value of a field from its clean text; its default where there is none. An object or an array is no text (json_fields). -#}
{% macro typed_value(field, text) -%}
    {%- set value -%}
        {%- if not field.is_text -%}
            {{ try_cast(text, field.type, field.timezone) }}
        {%- else -%}
            {%- set folded = lower_ascii(text) if field.case == 'lower' else upper_ascii(text) if field.case == 'upper' else text -%}
            {%- set length = modules.re.search('\((\d+)\)', field.type) -%}
            case when {{ text }} not in ('{', '['){% if length %} and length({{ text }}) <= {{ length.group(1) }}{% endif %} then {{ folded }} end
        {%- endif -%}
    {%- endset -%}
    {%- if field.missing == 'default' -%}
        case when {{ text }} is null then {{ literal(field.default, field) }} else {{ value }} end
    {%- else -%}
        {{ value }}
    {%- endif -%}
{%- endmacro %}

{#- A constant of a declaration as a literal of a field's type. -#}
{% macro literal(value, field) -%}
    {%- if field.is_text and value is not string -%}
        {{ exceptions.raise_compiler_error(
            field.name ~ ' is text, and ' ~ value ~ ' is none: YAML makes a number, a date or a truth value of it. Put it in quotes'
        ) }}
    {%- endif -%}
    {%- set text = "'" ~ value | string | replace("'", "''") ~ "'" -%}
    {{ text if field.is_text else 'cast(' ~ text ~ ' as ' ~ field.type ~ ')' }}
{%- endmacro %}

{#-
    What the checks look up elsewhere: one join for each (model, column to join on), with the columns that are wanted of it. A
    reference that was not passed can't be joined.
-#}
{% macro lookups_of(declared, relations) -%}
    {%- set lookups = {} -%}
    {%- for check in declared.checks if check.kind == 'references' or check.get('from') -%}
        {%- set model = check.model if check.kind == 'references' else check['from'] -%}
        {%- if model not in relations -%}
            {{ exceptions.raise_compiler_error(
                declared.name ~ '.' ~ check.field ~ " refers to '" ~ model ~ "', which is not passed to checked_records: add it to the "
                ~ 'references of the model that calls it'
            ) }}
        {%- endif -%}
        {%- set by = check.field if check.kind == 'references' else check.by -%}
        {%- set on = check.column if check.kind == 'references' else check.by -%}
        {%- set id = model ~ ' ' ~ by ~ ' ' ~ on -%}
        {%- if id not in lookups -%}
            {%- do lookups.update({id: {
                'alias': model ~ '_' ~ (lookups | length + 1), 'relation': relations[model], 'by': by, 'on': on,
                'columns': [], 'selected': [on],
            }}) -%}
        {%- endif -%}
        {%- set wanted = [(on, 'found')] if check.kind == 'references' else [(check.low, 'low'), (check.high, 'high')] -%}
        {%- for column, name in wanted -%}
            {%- do lookups[id].columns.append({'column': column, 'name': helper(check.field, name)}) -%}
            {%- if column not in lookups[id].selected %}{% do lookups[id].selected.append(column) %}{% endif -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(lookups.values() | list) }}
{%- endmacro %}

{#- For each check, its name in the lists and the condition under which a record fails it. -#}
{% macro failures(declared, checks, relations) -%}
    {%- set found, fields = [], {} -%}
    {%- for field in declared.fields %}{% do fields.update({field.name: field}) %}{% endfor -%}
    {%- for check in checks -%}
        {%- set condition -%}
            {%- if check.kind == 'missing' -%}
                record_error is null and {{ helper(check.field, 'text') }} is null
            {%- elif check.kind == 'references' -%}
                {{ adapter.quote(check.field) }} is not null and {{ helper(check.field, 'found') }} is null
                and (select count(*) from {{ relations[check.model] }}) > 0
            {%- else -%}
                {{ fails_check(check, fields) }}
            {%- endif -%}
        {%- endset -%}
        {%- do found.append(("'" ~ check.reason ~ "'", condition)) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}

{#- The condition under which a value, or a record, fails a check that needs nothing but the record and its lookup. -#}
{% macro fails_check(check, fields) -%}
    {%- set value = adapter.quote(check.field) if check.field else none -%}
    {%- if check.kind == 'between' -%}
        {%- set bounds = [] -%}
        {%- for side, sign in [('low', '<'), ('high', '>')] if check.get(side) is not none -%}
            {%- set bound = helper(check.field, side) if check.get('from') else literal(check[side], fields[check.field]) -%}
            {%- do bounds.append(value ~ ' ' ~ sign ~ ' ' ~ bound) -%}
        {%- endfor -%}
        {{ bounds | join(' or ') }}
    {%- elif check.kind == 'one_of' -%}
        {{ value }} not in ({% for one in check['values'] %}{{ literal(one, fields[check.field]) }}{{ ', ' if not loop.last }}{% endfor %})
    {%- elif check.kind == 'matches' -%}
        not {{ matches_pattern(value, check.pattern) }}
    {%- elif check.kind == 'expression' -%}
        not ({{ check.expression }})
    {%- endif -%}
{%- endmacro %}

{% macro unparsable(declared) -%}
    {%- set found = [] -%}
    {%- for field in declared.fields -%}
        {%- do found.append((
            "'" ~ field.name ~ "_unparsable'", helper(field.name, 'text') ~ ' is not null and ' ~ adapter.quote(field.name) ~ ' is null'
        )) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}

{% macro defaulted(declared) -%}
    {%- set found = [] -%}
    {%- for field in declared.fields if field.missing == 'default' -%}
        {%- do found.append(("'" ~ field.name ~ "'", helper(field.name, 'text') ~ ' is null')) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}

{#- The names whose condition holds, comma-separated; null when none does. -#}
{% macro names_that_hold(named) -%}
    {%- if not named -%}
        cast(null as {{ dbt.type_string() }})
    {%- else -%}
        nullif(concat_ws(
            ','
            {%- for name, condition in named %},
            case when {{ condition }} then {{ name }} end
            {%- endfor %}
        ), '')
    {%- endif -%}
{%- endmacro %}

{#- Whether a text matches a regular expression somewhere. -#}
{% macro matches_pattern(expression, pattern) -%}
    {{ adapter.dispatch('matches_pattern')(expression, "'" ~ pattern | replace("'", "''") ~ "'") }}
{%- endmacro %}

{% macro default__matches_pattern(expression, pattern) -%}
    regexp_matches({{ expression }}, {{ pattern }})
{%- endmacro %}

{#- The names of a comma-separated list, one row each; in the list of a select. -#}
{% macro each_of(expression) -%}
    unnest({{ adapter.dispatch('split')(expression) }})
{%- endmacro %}

{% macro default__split(expression) -%}
    string_split({{ expression }}, ',')
{%- endmacro %}
