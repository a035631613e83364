"""The yardstick for PostgreSQL: one script, by hand, for the same day, with ADBC's COPY and plain SQL.

It does what Goalkeeper's pipeline does to the data and nothing else. Run by `python -m benchmarks --target postgres`; needs the sandbox's
SOURCES__ and POSTGRES_ variables. Prints the figures as JSON, which must be the day's.
"""

from __future__ import annotations

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import quote

import adbc_driver_postgresql.dbapi as adbc
import psycopg2
import pyarrow as pa
import pyarrow.csv as csv

from benchmarks.handwritten import API_NAMES, FIELDS, PG_NAMES, S3_NAMES, fetch_api, fetch_postgres, fetch_s3

ENV = os.environ
TS = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d([.]\d{1,6})?(Z|[+-]\d\d:\d\d)?$"
WHITE = r"E' \t\n\r'"


def cleaned(names: dict[str, str], prefix: str) -> str:
    """The common fields as trimmed text."""
    return ", ".join(f"nullif(btrim({prefix}{names[field].split('.')[0]}, {WHITE}), '') as {field}" for field in FIELDS)


def json_rows(table: str, names: dict[str, str], rank: int) -> str:
    """A JSON feed's rows as texts: the payload is parsed once."""
    keys = [name.split(".")[0] for name in names.values()]
    record = ", ".join(f'"{key}" text' for key in keys)
    fields = []
    for field, name in names.items():
        key, _, inner = name.partition(".")
        value = f'doc."{key}"' + (f"::json ->> '{inner}'" if inner else "")
        fields.append(f"nullif(btrim({value}, {WHITE}), '') as {field}")
    return f"""
        select '{table}' as source, {rank} as rank, source_object, source_row, body is not null as readable, {", ".join(fields)},
            payload, null::raw_s3 as record
        from (select *, case when payload is json object then payload end as body from raw_{table} offset '0') r
        left join lateral json_to_record(body::json) as doc({record}) on true
    """


def transform(cursor: Any, day: date) -> None:
    """Parse, check, find duplicates, correct and publish."""
    s3 = f"""
        select 's3' as source, 1 as rank, source_object, source_row, true as readable, {cleaned(S3_NAMES, "")},
            null as payload, raw_s3 as record from raw_s3"""
    cursor.execute(f"""
    create unlogged table parsed as
    with typed as (
        select payload, record, source, rank, source_object, source_row, readable, lower(event_id) as event_id,
            lower(event_type) as event_type,
            case when user_id ~ '^[+-]?\\d{{1,18}}$' then user_id::bigint end as user_id,
            case when occurred_at ~ '{TS}' and pg_input_is_valid(occurred_at, 'timestamptz')
                then occurred_at::timestamptz end as occurred_at,
            case when amount ~ '^[+-]?\\d{{1,15}}([.]\\d{{1,2}}0*)?$' then amount::numeric(18, 2) end as amount,
            case when quantity ~ '^[+-]?\\d{{1,9}}$' then quantity::int end as quantity,
            upper(currency) as currency, upper(country) as country, lower(device) as device, position('.' in amount) = 0 as whole,
            user_id as user_text, occurred_at as time_text, amount as amount_text, quantity as quantity_text
        from (
            select * from ({s3} offset '0') s
            union all select * from ({json_rows("postgres", PG_NAMES, 2)} offset '0') p
            union all select * from ({json_rows("api", API_NAMES, 3)} offset '0') a
        ) texts offset '0'
    )
    select id, source, rank, source_object, source_row, event_id, user_id, event_type, occurred_at, amount, quantity, currency, country,
        device, whole, defaulted, is_complete, out_of_range, reasons,
        case when reasons is not null then coalesce(payload, to_json(record)::text) end as received
    from (select payload, record, row_number() over () as id, t.source, rank, source_object, source_row, t.event_id, t.user_id,
        t.event_type, occurred_at,
        amount, coalesce(quantity, 1) as quantity, coalesce(currency, 'USD') as currency, coalesce(country, 'ZZ') as country,
        coalesce(device, 'unknown') as device, whole,
        currency is null or country is null or device is null or quantity is null as defaulted,
        t.user_id is not null and t.event_type is not null and occurred_at is not null and amount is not null as is_complete,
        coalesce(amount < min_amount or amount > max_amount, false) as out_of_range,
        nullif(concat_ws(',', case when not readable then 'payload_not_json' end,
            case when readable and t.event_id is null then 'event_id_missing' end,
            case when user_text is not null and t.user_id is null then 'user_id_unparsable' end,
            case when time_text is not null and occurred_at is null then 'occurred_at_unparsable' end,
            case when amount_text is not null and amount is null then 'amount_unparsable' end,
            case when quantity_text is not null and quantity is null then 'quantity_unparsable' end,
            case when t.event_type is not null and e.event_type is null then 'event_type_unknown' end,
            case when t.user_id is not null and u.user_id is null then 'orphan_user' end), '') as reasons
    from typed t left join event_types e on e.event_type = t.event_type
    left join (select distinct user_id from raw_users) u on u.user_id = t.user_id
    ) judged
    """)
    cursor.execute("""
    create unlogged table duplicates as
    select id, source from (
        select id, source, row_number() over (partition by event_id order by rank, source_object collate "C", source_row) as n
        from parsed where reasons is null and event_id in (
            select event_id from parsed where reasons is null group by event_id having count(*) > 1)
    ) r where n > 1;
    create unlogged table corrections as
    select id, source, event_id, before, after from (
        select p.id, p.source, event_id, amount as before,
            (case when amount * expected_sign < 0 and -amount between min_amount and max_amount then -amount
            when whole and round(amount / 100, 2) between min_amount and max_amount then round(amount / 100, 2)
            end)::numeric(18, 2) as after
        from parsed p join event_types using (event_type) where out_of_range and reasons is null
    ) c where after is not null;
    create unlogged table statistics as
    select event_type, avg(amount::float8) as mean, stddev_samp(amount::float8) as sd
    from parsed where reasons is null and not out_of_range group by event_type;
    """)
    cursor.execute(f"""
    begin;
    create table quarantined as select * from parsed where reasons is not null;
    create table events as
    select p.event_id, p.source, user_id, p.event_type, occurred_at, coalesce(c.after, amount) as amount, quantity, currency, country,
        device, date '{day}' as load_date, is_complete, not out_of_range or c.after is not null as is_in_range,
        coalesce((not out_of_range or c.after is not null) and abs(coalesce(c.after, amount)::float8 - mean) > 4 * sd, false)
            as is_anomaly, p.source_object, p.source_row, now() as ingested_at
    from parsed p
    left join corrections c on c.id = p.id
    left join statistics s on s.event_type = p.event_type
    where reasons is null and not exists (select from duplicates d where d.id = p.id);
    commit;
    """)


def main(day: date) -> dict[str, int]:
    """Do the day into an empty PostgreSQL database, in a schema of its own, and return its figures."""
    place = f"{ENV['POSTGRES_HOST']}:{ENV['POSTGRES_PORT']}/{ENV['POSTGRES_DB']}"
    uri = f"postgresql://{ENV['POSTGRES_USER']}:{quote(ENV['POSTGRES_PASSWORD'], safe='')}@{place}"
    # parallel workers are worth their start here, which the server's defaults don't see
    parallel = "-c parallel_setup_cost=0 -c parallel_tuple_cost=0"
    options = f"-c timezone=UTC -c search_path=by_hand -c work_mem=64MB -c jit=off {parallel}"
    with closing(psycopg2.connect(uri, options=options)) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute("drop schema if exists by_hand cascade; create schema by_hand")
        seeds = csv.read_csv(Path(__file__).parent.parent / "seeds" / "event_types.csv")
        for name in ("min_amount", "max_amount"):
            at = seeds.column_names.index(name)
            seeds = seeds.set_column(at, name, seeds.column(name).cast(pa.decimal128(18, 2)))
        with ThreadPoolExecutor(3) as pool, adbc.connect(uri) as loading:
            futures = [pool.submit(fetch, day) for fetch in (fetch_postgres, fetch_api, fetch_s3)]
            transactions, users = futures[0].result()
            rows = pa.array(range(1, transactions.num_rows + 1))
            transactions = transactions.append_column("source_row", rows)
            transactions = transactions.append_column("source_object", pa.repeat("transactions", len(rows)))
            _load(loading, {"event_types": seeds, "raw_users": users, "raw_postgres": transactions})
            _load(loading, {"raw_api": futures[1].result()})
            _load(loading, {"raw_s3": futures[2].result()})
        transform(cursor, day)
        cursor.execute("""
            select (select count(*) from parsed) as collected, (select count(*) from quarantined) as quarantined,
                (select count(*) from duplicates) as duplicates, (select count(*) from corrections) as corrected,
                count(*) filter (where is_anomaly) as anomalies, count(*) as published from events
        """)
        names = [column[0] for column in cursor.description]
        return dict(zip(names, cursor.fetchone(), strict=True))


def _load(connection: Any, tables: dict[str, pa.Table]) -> None:
    with connection.cursor() as cursor:
        for name, table in tables.items():
            cursor.adbc_ingest(name, table, mode="create", db_schema_name="by_hand")
    connection.commit()


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(date.fromisoformat(sys.argv[1]))) + "\n")
