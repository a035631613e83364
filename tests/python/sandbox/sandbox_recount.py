"""Counts a generated day again with DuckDB SQL: from the records alone, by the written rules."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

import duckdb
import pyarrow as pa

from sandbox.generator import Day

SOURCES = ("s3", "postgres", "api")
FIELDS = ("event_id", "user_id", "event_type", "event_time", "amount", "quantity", "currency", "country", "device")
PAYLOAD_KEYS = ["id", "user", "type", "time", "amount", "quantity", "currency", "country", "device"]
API_KEYS = ["eventId", "userId", "eventType", "timestamp", "amount", "quantity", "currency"]

_INTEGER = r"^[+-]?[0-9]{1,18}$"
_AMOUNT = r"^[+-]?[0-9]{1,15}(\.[0-9]{1,2}0*)?$"
_TIME = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})?$"
)

_TRIMMED = ", ".join(rf"nullif(trim({name}, E' \t\r\n'), '') as {name}" for name in FIELDS)

_PARSED = f"""
    create table parsed as
    with types(event_type, low, high, sign) as (
        values ('purchase', 0.50, 5000.00, 1), ('subscription', 1.00, 500.00, 1),
            ('deposit', 5.00, 20000.00, 1), ('refund', -5000.00, -0.50, -1),
            ('withdrawal', -20000.00, -5.00, -1), ('fee', -250.00, -0.01, -1)
    ), trimmed as (
        select source, row, is_json, {_TRIMMED}
        from raw
    )
    select trimmed.* replace (lower(event_id) as event_id, lower(trimmed.event_type) as event_type), low, high, sign,
        case when regexp_matches(user_id, '{_INTEGER}') then user_id::bigint end as user_number,
        case when regexp_matches(quantity, '{_INTEGER}') then quantity::bigint end as quantity_number,
        case when regexp_matches(amount, '{_AMOUNT}') then amount::decimal(18, 2) end as value,
        case when regexp_matches(event_time, '{_TIME}') then try_cast(event_time as timestamptz) end as moment
    from trimmed left join types on types.event_type = lower(trimmed.event_type)
"""

_JUDGED = """
    create table judged as
    select *, list_filter([
            case when not is_json then 'payload_not_json' end,
            case when is_json and event_id is null then 'event_id_missing' end,
            case when user_id is not null and user_number is null then 'user_id_unparsable' end,
            case when event_time is not null and moment is null then 'occurred_at_unparsable' end,
            case when amount is not null and value is null then 'amount_unparsable' end,
            case when quantity is not null and quantity_number is null then 'quantity_unparsable' end,
            case when event_type is not null and sign is null then 'event_type_unknown' end,
            case when $users_known and user_number not in (select user_id from users) then 'orphan_user' end
        ], lambda reason: reason is not null) as reasons,
        user_id is null or event_type is null or event_time is null or amount is null as is_incomplete,
        currency is null or country is null or device is null or quantity is null as is_defaulted,
        value not between low and high as is_beyond,
        case when not is_beyond or low is null then value
            when sign(value) = -sign and -value between low and high then -value
            when amount not like '%.%' and value / 100 between low and high then value / 100
        end as corrected
    from parsed
"""

_COUNTED = """
    with good as (
        select *, row_number() over (
            partition by event_id order by list_position(['s3', 'postgres', 'api'], source), row
        ) as place
        from judged where len(reasons) = 0
    ), usual as (
        select event_type, avg(corrected)::double as mean, stddev(corrected)::double as sd
        from good where corrected is not null group by event_type
    ), marked as (
        select good.*, abs(corrected::double - mean) / sd as distance
        from good left join usual using (event_type)
    )
    select all_records.source,
        collected,
        collected - count(*) as quarantined,
        count(*) as transformed,
        count(*) filter (is_defaulted) as defaults_applied,
        count(*) filter (is_incomplete) as missing_required,
        count(*) filter (is_beyond) as out_of_range,
        count(*) filter (is_beyond and corrected is not null) as corrected,
        count(*) filter (is_beyond and corrected is null) as flagged,
        count(*) filter (place > 1) as duplicates,
        count(*) filter (distance > 4) as anomalies,
        count(*) filter (place = 1) as published,
        count(*) filter (distance > 3 and distance < 6) as doubtful
    from (select source, count(*) as collected from judged group by source) as all_records
    join marked using (source)
    group by all_records.source, collected
"""


def load_raw(day: Day, present: Collection[str] = SOURCES) -> duckdb.DuckDBPyConnection:
    """Load the records of the sources that are present into a table `raw`, every field as text."""
    db = duckdb.connect()
    db.execute("set timezone = 'UTC'")
    empty = ", ".join(f"null::varchar as {name}" for name in FIELDS)
    db.execute(f"create table raw as select '' as source, 0::bigint as row, true as is_json, {empty} limit 0")
    numbered = f"row_number() over (), true, {', '.join(FIELDS)}"
    if "s3" in present:
        db.register("s3", pa.concat_tables([records for _, records in day.s3_tables()]))
        db.execute(f"insert into raw select 's3', {numbered} from s3")
    if "postgres" in present:
        db.register("transactions", pa.concat_tables(list(day.transactions())))
        db.execute(f"""
            insert into raw
            select 'postgres', id, good is not null, {", ".join(f"good->>'{key}'" for key in PAYLOAD_KEYS)}
            from (
                select id, case when json_valid(payload) and json_type(payload) = 'OBJECT' then payload::json end
                    as good
                from transactions
            )
        """)
    if "api" in present:
        db.register("api", _api_table(day.api_pages()))
        db.execute(f"insert into raw select 'api', {numbered} from api")
    db.register("users", day.users())
    return db


def recount(day: Day, missing: Collection[str] = ()) -> dict[str, dict[str, Any]]:
    """Return per source what the rules find, counted without the generator's own bookkeeping.

    Beside the figures there is `doubtful`: amounts neither clearly usual nor clearly outliers.
    """
    db = load_raw(day, [name for name in SOURCES if name not in missing])
    db.execute(_PARSED)
    db.execute(_JUDGED, {"users_known": "postgres" not in missing})
    cursor = db.execute(_COUNTED)
    names = [column[0] for column in cursor.description or ()]
    found = {row[0]: dict(zip(names[1:], row[1:], strict=True)) for row in cursor.fetchall()}
    for row in found.values():
        row["reasons"] = {}
    for source, reason, count in db.execute(
        "select source, reason, count(*) from (select source, unnest(reasons) as reason from judged) group by all"
    ).fetchall():
        found[source]["reasons"][reason] = count
    return found


def _api_table(pages: Sequence[bytes]) -> pa.Table:
    # numbers stay the text that was sent
    records = [r for page in pages for r in json.loads(page, parse_float=str, parse_int=str)]
    columns = [[_text(record.get(key)) for record in records] for key in API_KEYS]
    columns.append([_text((record.get("location") or {}).get("country")) for record in records])
    columns.append([_text((record.get("device") or {}).get("type")) for record in records])
    return pa.table([pa.array(column, pa.string()) for column in columns], names=list(FIELDS))


def _text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)
