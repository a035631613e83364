{#-
    What a staging model makes of a raw table whose fields are columns: the day's records with the entity's fields as text.
    `fields` says which raw column each field is; {'total': 'Total'}. A list names fields that are called the same.
-#}
{% macro feed_records(source_name, table_name, fields) -%}
    {%- set renamed = {} -%}
    {%- for field in fields %}{% do renamed.update({field: fields[field] if fields is mapping else field}) %}{% endfor -%}
with raw_records as (

    {{ raw_records(source_name, table_name, renamed.values() | list + ['payload']) }}

)

select
    load_date,
    source_object,
    source_row,
    reject_reason as record_error,
    coalesce(payload, {{ record_payload(renamed.values() | list) }}) as payload,
    {%- for field, column in renamed.items() %}
    {{ adapter.quote(column) }} as {{ adapter.quote(field) }}{{ ',' if not loop.last }}
    {%- endfor %}
from raw_records
{%- endmacro %}

{#-
    What a staging model makes of a raw table whose `payload` is a JSON document: the day's records with the entity's fields as
    text. `fields` says at which path each field lies, the outermost key first; {'country': ['address', 'country']}.
-#}
{% macro feed_documents(source_name, table_name, fields) -%}
with raw_records as (

    {{ raw_records(source_name, table_name, ['payload']) }}

),

parsed as (

    {{ json_fields('raw_records', 'payload', fields) }}

)

select
    load_date,
    source_object,
    source_row,
    coalesce(reject_reason, case when not is_json_object then 'payload_not_json' end) as record_error,
    payload,
    {%- for field in fields %}
    {{ adapter.quote(field) }}{{ ',' if not loop.last }}
    {%- endfor %}
from parsed
{%- endmacro %}

{#-
    What a staging model makes of a raw table some of whose records come as columns and others as JSON documents in `payload`, such
    as CSV beside JSON lines. `columns` says which raw column each field is, `paths` at which path it lies in a document.
-#}
{% macro feed_mixed(source_name, table_name, columns, paths) -%}
    {%- set places = {} -%}
    {%- for field, path in paths.items() %}{% do places.update({field ~ '__json': path}) %}{% endfor -%}
    {%- set names = columns.keys() | list + paths.keys() | reject('in', columns.keys() | list) | list -%}
with raw_records as (

    {{ raw_records(source_name, table_name, columns.values() | list + ['payload']) }}

),

parsed as (

    {{ json_fields('raw_records', 'payload', places) }}

)

select
    load_date,
    source_object,
    source_row,
    coalesce(reject_reason, case when payload is not null and not is_json_object then 'payload_not_json' end) as record_error,
    coalesce(payload, {{ record_payload(columns.values() | list) }}) as payload
    {%- for field in names %},
    {%- set found = [adapter.quote(columns[field])] if field in columns else [] %}
    coalesce({{ (found + ([field ~ '__json'] if field in paths else [])) | join(', ') }}) as {{ adapter.quote(field) }}
    {%- endfor %}
from parsed
{%- endmacro %}
