{#-
    What a mart declares, read from its contract: the one place that knows how a declaration is written. Everything else works
    with what this returns, and knows no entity and no field.

    A dictionary: name, relation (schema, alias), key (a list of fields), event_time, keep ('first' or 'newest'), by (the field that
    orders versions), lookback_days, fields, checks, dimensions. A field has name, type, is_text, missing ('reject', 'flag',
    'default' or 'accept'), default, case, outlier and corrections; a check has name, kind, field, dimension, fails ('reject' or
    'flag') and what its kind needs. Before the project is parsed there is nothing to read, and the result is empty.
-#}
{% macro entity(name) -%}
    {%- if not execute %}{{ return({'name': name, 'key': [], 'fields': [], 'checks': [], 'dimensions': []}) }}{% endif -%}
    {%- set mart = mart_of(name) -%}
    {%- set meta = mart.config.meta -%}
    {%- do _known_keys(name, meta, ['key', 'event_time', 'versions', 'lookback_days', 'checks']) -%}
    {%- set versions = meta.get('versions', 'first') -%}
    {%- set fields, checks = [], [] -%}
    {%- for column in mart.columns.values() if not is_standard_column(column) -%}
        {%- do fields.append(_field(name, column, meta.key, checks)) -%}
    {%- endfor -%}
    {%- for check in meta.get('checks', []) -%}
        {%- do checks.append(_check(name, none, 'expression', check, 'accuracy', 'flag', check.name)) -%}
    {%- endfor -%}
    {%- set dimensions = ['completeness', 'accuracy', 'consistency'] -%}
    {%- set dimensions = dimensions | select('in', checks | map(attribute='dimension') | list) | list -%}
    {%- for check in checks if check.dimension not in dimensions and check.fails == 'flag' -%}
        {%- do dimensions.append(check.dimension) -%}
    {%- endfor -%}
    {%- for column in meta.key if column not in fields | map(attribute='name') | list -%}
        {{ exceptions.raise_compiler_error(name ~ ": the key names '" ~ column ~ "', which is no column of the mart") }}
    {%- endfor -%}
    {{ return({
        'name': name,
        'schema': mart.schema,
        'alias': mart.alias,
        'key': meta.key,
        'event_time': meta.get('event_time'),
        'keep': versions if versions is string else versions.keep,
        'by': none if versions is string else versions.by,
        'lookback_days': meta.get('lookback_days', 30),
        'fields': fields,
        'checks': checks,
        'dimensions': dimensions,
    }) }}
{%- endmacro %}

{#- The mart's node in the project, as dbt has parsed it; a unit test overrides this, because it sees no project. -#}
{% macro mart_of(name) -%}
    {%- for node in graph.nodes.values() if node.resource_type == 'model' and node.name == name and node.config.meta.get('key') -%}
        {{ return(node) }}
    {%- endfor -%}
    {{ exceptions.raise_compiler_error(
        "'" ~ name ~ "' is listed under vars.entities, but no model of this name declares a key under config.meta. "
        ~ 'Declare it in the yml of the mart (docs/entities.md), or take it out of the list'
    ) }}
{%- endmacro %}

{#- A column of the mart that the pipeline fills, and that no feed delivers. -#}
{% macro is_standard_column(column) -%}
    {%- set names = [
        'source', 'load_date', 'source_object', 'source_row', 'run_id', 'ingested_at', 'is_late', 'is_anomaly', 'correction_count',
    ] -%}
    {{ return(column.name in names or 'holds' in column.config.meta) }}
{%- endmacro %}

{% macro _field(entity_name, column, key, checks) -%}
    {%- set meta, where = column.config.meta, entity_name ~ '.' ~ column.name -%}
    {%- do _known_keys(where, meta, [
        'missing', 'case', 'timezone', 'references', 'between', 'one_of', 'matches', 'expression', 'outlier', 'corrections', 'dimension',
        'label',
    ]) -%}
    {%- set missing = meta.get('missing', 'reject' if column.name in key else 'accept') -%}
    {%- set default = missing.get('default') if missing is mapping else none -%}
    {%- set missing = missing if missing is string else 'default' if default is not none else missing.get('fails') -%}
    {%- if missing not in ['reject', 'flag', 'default', 'accept'] -%}
        {{ exceptions.raise_compiler_error(
            where ~ ": missing is '" ~ meta.missing ~ "', not one of reject, flag, accept or {default: a value}"
        ) }}
    {%- endif -%}
    {%- if column.name in key and missing != 'reject' -%}
        {{ exceptions.raise_compiler_error(where ~ ' is part of the key, so a record without it is rejected: missing must be reject') }}
    {%- endif -%}
    {%- if not column.data_type -%}
        {{ exceptions.raise_compiler_error(where ~ ' has no data_type') }}
    {%- endif -%}
    {%- set type = standard_type(column.data_type) -%}
    {%- set moved = meta.get('dimension') -%}
    {%- if missing in ['reject', 'flag'] -%}
        {%- set stated = meta.get('missing') if meta.get('missing') is mapping else {} -%}
        {%- do checks.append(_check(where, column.name, 'missing', stated, moved or 'completeness', missing, column.name ~ '_missing')) -%}
    {%- endif -%}
    {%- for kind, name, dimension, fails in [
        ('references', 'unknown', 'consistency', 'reject'),
        ('between', 'out_of_range', 'accuracy', 'flag'),
        ('one_of', 'not_allowed', 'accuracy', 'flag'),
        ('matches', 'malformed', 'accuracy', 'flag'),
        ('expression', 'wrong', 'accuracy', 'flag'),
    ] if kind in meta -%}
        {%- do checks.append(_check(where, column.name, kind, meta[kind], moved or dimension, fails, column.name ~ '_' ~ name)) -%}
    {%- endfor -%}
    {{ return({
        'name': column.name,
        'type': type,
        'is_text': is_text_type(type),
        'missing': missing,
        'default': default,
        'case': meta.get('case'),
        'timezone': meta.get('timezone'),
        'outlier': meta.get('outlier'),
        'corrections': meta.get('corrections', []),
    }) }}
{%- endmacro %}

{#- A check in its long form, whichever form it was written in. -#}
{% macro _check(where, field, kind, stated, dimension, fails, name) -%}
    {%- set check = {
        'kind': kind, 'field': field, 'name': name, 'reason': name, 'dimension': dimension, 'fails': fails,
    } -%}
    {%- set own = {
        'missing': ['fails'],
        'references': ['to'],
        'between': ['from', 'by', 'low', 'high'],
        'one_of': ['values'],
        'matches': ['pattern'],
        'expression': ['expression'],
    }[kind] -%}
    {%- if stated is mapping -%}
        {%- do _known_keys(where ~ ' ' ~ kind, stated, own + ['name', 'reason', 'dimension', 'fails', 'description']) -%}
        {%- do check.update(stated) -%}
        {%- if 'reason' not in stated and 'name' in stated %}{% do check.update({'reason': stated.name}) %}{% endif -%}
    {%- elif kind == 'between' -%}
        {%- do check.update({'low': stated[0], 'high': stated[1]}) -%}
    {%- elif kind != 'missing' -%}
        {%- do check.update({own[0]: stated}) -%}
    {%- endif -%}
    {%- if kind == 'references' -%}
        {%- set to = check.to.split('.') -%}
        {%- if to | length != 2 -%}
            {{ exceptions.raise_compiler_error(where ~ ": references '" ~ check.to ~ "', which is no model.column") }}
        {%- endif -%}
        {%- do check.update({'model': to[0], 'column': to[1]}) -%}
    {%- endif -%}
    {%- if check.fails not in ['reject', 'flag'] -%}
        {{ exceptions.raise_compiler_error(where ~ ' ' ~ kind ~ ": fails is '" ~ check.fails ~ "', not reject or flag") }}
    {%- endif -%}
    {{ return(check) }}
{%- endmacro %}

{% macro _known_keys(where, stated, known) -%}
    {%- for key in stated if key not in known -%}
        {{ exceptions.raise_compiler_error(
            where ~ ": '" ~ key ~ "' is no key of a declaration. Known here: " ~ known | join(', ') ~ ' (docs/entities.md)'
        ) }}
    {%- endfor -%}
{%- endmacro %}

{#- The checks whose failure rejects a record, or only flags it. -#}
{% macro checks_that(declared, fails) -%}
    {{ return(declared.checks | selectattr('fails', 'equalto', fails) | list) }}
{%- endmacro %}

{#- The key of a record as one text, for people and for joins with what is kept beyond the day. -#}
{% macro record_key(declared, relation='') -%}
    {%- set prefix = relation ~ '.' if relation else '' -%}
    {%- if declared.key | length == 1 -%}
        cast({{ prefix }}{{ adapter.quote(declared.key[0]) }} as {{ dbt.type_string() }})
    {%- else -%}
        nullif(concat_ws(' / ', {% for column in declared.key %}cast({{ prefix }}{{ adapter.quote(column) }} as {{ dbt.type_string() }}){{ ', ' if not loop.last }}{% endfor %}), '')
    {%- endif -%}
{%- endmacro %}

{#- Whether a comma-separated list holds a name; null holds none. -#}
{% macro lists(expression, name) -%}
    position(',{{ name }},' in ',' || coalesce({{ expression }}, '') || ',') > 0
{%- endmacro %}

{#-
    The relation of a model that a declaration names. Not a ref: dbt would have to know it before it reads the declaration. What
    asks for it comes after the entity's checked records, and those have a ref to it.
-#}
{% macro relation_of(name) -%}
    {%- for node in graph.nodes.values() if node.resource_type in ('model', 'seed') and node.name == name -%}
        {{ return(api.Relation.create(database=node.database, schema=node.schema, identifier=node.alias)) }}
    {%- endfor -%}
    {{ exceptions.raise_compiler_error("no model or seed is called '" ~ name ~ "'") }}
{%- endmacro %}

{#- The declarations of all entities, once their checked records are known to dbt as what the model stands on. -#}
{% macro entities(stage='checked') -%}
    {%- set found = [] -%}
    {%- for name in var('entities') -%}
        {%- if stage %}{% do ref('int_' ~ name ~ '_' ~ stage) %}{% endif -%}
        {%- do found.append(entity(name)) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}

{#- The checks of a kind, each with its entity's declaration. -#}
{% macro checks_of_kind(kind, stage='checked') -%}
    {%- set found = [] -%}
    {%- for declared in entities(stage) -%}
        {%- for check in declared.checks if check.kind == kind %}{% do found.append((declared, check)) %}{% endfor -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}

{#- Looks at every declaration: a mistake is said before anything is built. -#}
{% macro check_entities() -%}
    {%- if execute -%}
        {%- for name in var('entities') %}{% do entity(name) %}{% endfor -%}
        {%- for node in graph.nodes.values() if node.resource_type == 'model' and node.config.meta.get('key') and node.name not in var('entities') -%}
            {{ exceptions.raise_compiler_error(
                "the mart '" ~ node.name ~ "' declares a key, but is not listed under vars.entities of dbt_project.yml: add it there"
            ) }}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}
