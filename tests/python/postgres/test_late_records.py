"""A window that reaches back: what came after its day was loaded is published once, with the day that read it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from end_to_end.helpers import ENGINE, orchestrate, rows
from postgres.helpers import GOLDEN_DAY, connect, query

NEXT_DAY = "2025-11-17"
SOURCE = "SOURCES__POSTGRES__"
TABLES = {
    "transactions_2025_11_16": "id bigint primary key, payload text, recorded_at timestamptz",
    "users": "user_id bigint, country text, created_at timestamptz",
}


def copy_of_the_source(servers: Mapping[str, str]) -> dict[str, str]:
    """Copy the source's tables to where they can be changed; return what to configure."""
    login = {
        key: servers[f"{SOURCE}CREDENTIALS__{name}"]
        for key, name in (
            ("host", "HOST"),
            ("port", "PORT"),
            ("user", "USERNAME"),
            ("password", "PASSWORD"),
            ("dbname", "DATABASE"),
        )
    }
    with closing(connect(servers, **login)) as theirs, closing(connect(servers)) as ours:
        query(ours, "create schema feed")
        for table, columns in TABLES.items():
            query(ours, f"create table feed.{table} ({columns})")
            content = io.StringIO()
            theirs.cursor().copy_expert(f"copy {table} to stdout", content)
            content.seek(0)
            ours.cursor().copy_expert(f"copy feed.{table} from stdin", content)
    given = {name: servers[f"POSTGRES_{name}"] for name in ("HOST", "PORT", "PASSWORD")}
    given |= {"USERNAME": servers["POSTGRES_USER"], "DATABASE": servers["POSTGRES_DB"]}
    return {
        **{f"{SOURCE}CREDENTIALS__{name}": value for name, value in given.items()},
        f"{SOURCE}SCHEMA": "feed",
        f"{SOURCE}TABLES__TRANSACTIONS__TABLE": "transactions_2025_11_16",
        f"{SOURCE}TABLES__TRANSACTIONS__CURSOR": "recorded_at",
        f"{SOURCE}TABLES__TRANSACTIONS__LATE_DAYS": "1",
    }


def test_what_came_late_is_published_once_with_the_day_that_read_it(servers: Mapping[str, str], tmp_path: Path) -> None:
    env = {**servers, **copy_of_the_source(servers), **ENGINE}
    published = "select load_date::varchar, is_late, count(*) from analytics.events where source = 'postgres' group by all order by all"
    with closing(connect(servers)) as feed:
        query(feed, "create table feed.late as select * from feed.transactions_2025_11_16 where id % 10 = 0")
        query(feed, "delete from feed.transactions_2025_11_16 where id % 10 = 0")
        first = orchestrate(tmp_path, "--date", GOLDEN_DAY, "--json", env=env).summary["sources"]["postgres"]
        query(feed, "insert into feed.transactions_2025_11_16 select * from feed.late")
    second = orchestrate(tmp_path, "--date", NEXT_DAY, "--json", env=env).summary["sources"]["postgres"]
    assert (first["collected"], second["collected"] - first["collected"]) == (675, 74)
    assert second["duplicates"] >= first["published"]
    assert second["published"] > 0
    assert rows(tmp_path, published) == [
        (GOLDEN_DAY, False, first["published"]),
        (NEXT_DAY, True, second["published"]),
    ]
    assert rows(tmp_path, "select event_id from analytics.events group by 1 having count(*) > 1") == []
