"""The yardstick: one script, by hand, for the same day: fetch, parse, check, correct, deduplicate, publish into DuckDB.

It does what Goalkeeper's pipeline does to the data and nothing else: no retries, no ledger, no artifacts, no report, no archive.
Run by `python -m benchmarks`; needs the sandbox's SOURCES__ variables. Prints the figures as JSON, which must be the day's.
"""

from __future__ import annotations

import io
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import adbc_driver_postgresql.dbapi as adbc
import boto3
import duckdb
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import requests

ENV = os.environ
TS = r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}([.]\d{1,6})?(Z|[+-]\d{2}:\d{2})?$"
FIELDS = ("event_id", "user_id", "event_type", "occurred_at", "amount", "quantity", "currency", "country", "device")
S3_NAMES = dict(zip(FIELDS, ("event_id", "user_id", "event_type", "event_time", *FIELDS[4:]), strict=True))
PG_NAMES = dict(zip(FIELDS, ("id", "user", "type", "time", *FIELDS[4:]), strict=True))
API_NAMES = dict(
    zip(
        FIELDS,
        (
            "eventId",
            "userId",
            "eventType",
            "timestamp",
            "amount",
            "quantity",
            "currency",
            "location.country",
            "device.type",
        ),
        strict=True,
    )
)


def fetch_s3(day: date) -> pa.Table:
    """All Parquet files of the day, fetched in four threads."""
    client = boto3.client(
        "s3",
        endpoint_url=ENV["SOURCES__S3__CREDENTIALS__ENDPOINT_URL"],
        aws_access_key_id=ENV["SOURCES__S3__CREDENTIALS__AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=ENV["SOURCES__S3__CREDENTIALS__AWS_SECRET_ACCESS_KEY"],
        region_name="us-east-1",
    )
    listing = client.list_objects_v2(Bucket="data-lake", Prefix=f"raw/{day:%Y/%m/%d}/")
    keys = sorted(entry["Key"] for entry in listing["Contents"])

    def read(key: str) -> pa.Table:
        table = pq.read_table(io.BytesIO(client.get_object(Bucket="data-lake", Key=key)["Body"].read()))
        rows = pa.array(range(1, table.num_rows + 1))
        return table.append_column("source_object", pa.repeat(key, len(rows))).append_column("source_row", rows)

    with ThreadPoolExecutor(4) as pool:
        return pa.concat_tables(pool.map(read, keys))


def fetch_postgres(day: date) -> tuple[pa.Table, pa.Table]:
    """The day's transactions and the users."""
    prefix = "SOURCES__POSTGRES__CREDENTIALS__"
    user, password = ENV[f"{prefix}USERNAME"], ENV[f"{prefix}PASSWORD"]
    place = f"{ENV[f'{prefix}HOST']}:{ENV[f'{prefix}PORT']}/{ENV[f'{prefix}DATABASE']}"
    with adbc.connect(f"postgresql://{user}:{password}@{place}") as connection, connection.cursor() as cursor:
        cursor.execute(f"select payload from transactions_{day:%Y_%m_%d} order by id")
        transactions = cursor.fetch_arrow_table()
        cursor.execute("select user_id from users")
        return transactions, cursor.fetch_arrow_table()


def fetch_api(day: date) -> pa.Table:
    """Every page of the API, a record each as JSON text."""
    url = f"{ENV['SOURCES__API__BASE_URL']}/events?date={day}"
    payloads: list[bytes] = []
    objects: list[str] = []
    rows: list[int] = []
    page = 0
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {ENV['SOURCES__API__AUTH__TOKEN']}"
        while url:
            body = orjson.loads(session.get(url, timeout=30).content)
            page += 1
            payloads += [orjson.dumps(record) for record in body["data"]]
            objects += [f"events/page-{page:05d}"] * len(body["data"])
            rows += range(1, len(body["data"]) + 1)
            url = body["next"]
    return pa.table(
        {"payload": pa.array(payloads, pa.binary()).cast(pa.string()), "source_object": objects, "source_row": rows}
    )


def texts(names: dict[str, str], read: str) -> str:
    """The common fields as clean text."""
    return ", ".join(f"nullif(trim({read.format(names[f])}, ' \t\n\r'), '') as {f}" for f in FIELDS)


def publish(connection: duckdb.DuckDBPyConnection, day: date) -> None:
    """Everything from the raw tables to the published ones, in SQL."""

    def json_read(name: str) -> str:
        return f"json_extract_string(body, '$.{name}')"

    body = "case when json_valid(payload) and json_type(payload) = 'OBJECT' then payload end as body"
    pg = texts(PG_NAMES, "{}")
    for name in PG_NAMES.values():
        pg = pg.replace(f"trim({name},", f"trim({json_read(name)},")
    api = texts(API_NAMES, "{}")
    for name in API_NAMES.values():
        api = api.replace(f"trim({name},", f"trim({json_read(name)},")
    connection.execute(f"""
    create table parsed as
    with texts as (
        select 's3' as source, 1 as rank, source_object, source_row, true as readable, {texts(S3_NAMES, "{}")} from raw_s3
        union all
        select 'postgres', 2, 'transactions', source_row, body is not null, {pg} from (select *, {body} from raw_postgres)
        union all
        select 'api', 3, source_object, source_row, body is not null, {api} from (select *, {body} from raw_api)
    ), typed as (
        select source, rank, source_object, source_row, readable, lower(event_id) as event_id, lower(event_type) as event_type,
            case when regexp_matches(user_id, '^[+-]?\\d{{1,18}}$') then try_cast(user_id as bigint) end as user_id,
            case when regexp_matches(occurred_at, '{TS}') then try_cast(occurred_at as timestamptz) end as occurred_at,
            case when regexp_matches(amount, '^[+-]?\\d{{1,15}}([.]\\d{{1,2}}0*)?$') then try_cast(amount as decimal(18, 2)) end as amount,
            case when regexp_matches(quantity, '^[+-]?\\d{{1,9}}$') then try_cast(quantity as integer) end as quantity,
            upper(currency) as currency, upper(country) as country, lower(device) as device, position('.' in amount) = 0 as whole,
            user_id as user_text, occurred_at as time_text, amount as amount_text, quantity as quantity_text
        from texts
    )
    select t.source, rank, source_object, source_row, t.event_id, t.user_id, t.event_type, occurred_at, amount,
        coalesce(quantity, 1) as quantity, coalesce(currency, 'USD') as currency, coalesce(country, 'ZZ') as country,
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
    from typed t left join event_types e on e.event_type = t.event_type left join raw_users u on u.user_id = t.user_id
    """)
    connection.execute("""
    create table duplicates as
    select source, source_object, source_row from (
        select source, source_object, source_row,
            row_number() over (partition by event_id order by rank, source_object, source_row) as n
        from parsed where reasons is null and event_id in (
            select event_id from parsed where reasons is null group by event_id having count(*) > 1)
    ) where n > 1;
    create table corrections as
    select source, source_object, source_row, event_id, amount as before, after from (
        select p.*, case when amount * expected_sign < 0 and -amount between min_amount and max_amount then -amount
            when whole and round(amount / 100, 2) between min_amount and max_amount then round(amount / 100, 2)
            end::decimal(18, 2) as after
        from parsed p join event_types using (event_type) where out_of_range and reasons is null
    ) where after is not null;
    create table statistics as
    select event_type, avg(amount::double) as mean, stddev_samp(amount::double) as sd
    from parsed where reasons is null and not out_of_range group by event_type;
    """)
    connection.execute(f"""
    begin;
    create table quarantined as select *, coalesce(payload, to_json(r)::varchar) as received from (
        select p.*, coalesce(a.payload, g.payload) as payload from parsed p
        left join raw_api a on p.source = 'api' and a.source_object = p.source_object and a.source_row = p.source_row
        left join raw_postgres g on p.source = 'postgres' and g.source_row = p.source_row
        where reasons is not null) r;
    create table events as
    select event_id, p.source, user_id, p.event_type, occurred_at, coalesce(c.after, amount) as amount, quantity, currency, country,
        device, date '{day}' as load_date, is_complete, not out_of_range or c.after is not null as is_in_range,
        coalesce((not out_of_range or c.after is not null) and abs(coalesce(c.after, amount)::double - mean) > 4 * sd, false)
            as is_anomaly, p.source_object, p.source_row, now() as ingested_at
    from parsed p
    left join (select source, source_object, source_row, after from corrections) c using (source, source_object, source_row)
    left join statistics s on s.event_type = p.event_type
    where reasons is null
        and (p.source, p.source_object, p.source_row) not in (select (source, source_object, source_row) from duplicates);
    commit;
    """)


def main(day: date, path: str) -> dict[str, int]:
    """Do the day into a new DuckDB file and return its figures."""
    with ThreadPoolExecutor(3) as pool:
        s3, postgres, api = pool.submit(fetch_s3, day), pool.submit(fetch_postgres, day), pool.submit(fetch_api, day)
        connection = duckdb.connect(path)
        connection.execute("set preserve_insertion_order = false; set TimeZone = 'UTC'")
        seeds = str(Path(__file__).resolve().parent.parent / "seeds" / "event_types.csv")
        connection.execute("create table event_types as select * from read_csv(?)", [seeds])
        transactions, users = postgres.result()
        transactions = transactions.append_column("source_row", pa.array(range(1, transactions.num_rows + 1)))
        for name, table in (
            ("raw_users", users),
            ("raw_postgres", transactions),
            ("raw_api", api.result()),
            ("raw_s3", s3.result()),
        ):
            connection.register("arriving", table)
            connection.execute(f"create table {name} as select * from arriving")
            connection.unregister("arriving")
    publish(connection, day)
    figures = connection.execute("""
        select (select count(*) from parsed) as collected, (select count(*) from quarantined) as quarantined,
            (select count(*) from duplicates) as duplicates, (select count(*) from corrections) as corrected,
            count(*) filter (where is_anomaly) as anomalies, count(*) as published from events
    """)
    names = [column[0] for column in figures.description]
    result = dict(zip(names, figures.fetchone() or (), strict=True))
    connection.close()
    return result


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(date.fromisoformat(sys.argv[1]), sys.argv[2])) + "\n")
