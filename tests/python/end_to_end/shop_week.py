"""A week of a shop, as its files, database and APIs deliver it, and a count of it that knows nothing of the pipeline.

Orders come from CSV and JSON lines in a folder, from a view in another schema and from an API; their lines from Parquet in folders by
country and from the same API; customers, whom they refer to, from a second API.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
from loader_helpers import Answer, ScriptedApi

from sandbox.postgres_server import PostgresServer, connect

DAYS = [str(date(2025, 11, 10) + timedelta(days=number)) for number in range(7)]
LATE, DRIFT, UNREADABLE, DOWN, REPEATED = DAYS[1:6]
PAGE = 25
SETTINGS = """
[sources.files]
kind = "s3"
bucket_url = "file://{folder}/in"
[sources.files.tables.orders]
path = "orders/{{date:%Y-%m-%d}}/"
csv_delimiter = ";"
[sources.files.tables.order_lines]
path = "lines/{{date:%Y-%m-%d}}/"

[sources.erp]
kind = "postgres"
schema = "sales"
[sources.erp.credentials]
host = "{database.host}"
port = {database.port}
database = "{database.database}"
username = "{database.username}"
[sources.erp.tables.orders]
table = "order_view"
cursor = "changed_at"
order_by = ["order_id"]

[sources.shop]
kind = "rest_api"
base_url = "{shop}"
data_selector = "data"
paginator = {{type = "json_link", next_url_path = "next"}}
params = {{day = "{{date:%Y-%m-%d}}"}}
[sources.shop.endpoints.orders]
path = "orders"
[sources.shop.endpoints.order_lines]
path = "lines"

[sources.crm]
kind = "rest_api"
base_url = "{crm}"
paginator = {{type = "single_page"}}
[sources.crm.endpoints.customers]
path = "customers"
params = {{day = "{{date:%Y-%m-%d}}"}}
reference = true
"""


@dataclass(frozen=True)
class Record:
    """A record as it was delivered: what tells it apart, its money, None where that is no number, and the day it is of.

    A file that can't be read is a record without anything.
    """

    key: tuple[int, ...] = ()
    money: Decimal | None = None
    day: str | None = None


@dataclass(frozen=True)
class Count:
    """What should become of an entity's records of a day."""

    collected: int
    quarantined: int
    duplicates: int
    published: int
    money: Decimal
    late: int


class Week:
    """What is delivered, where it lies; one call of `deliver` writes all of it."""

    def __init__(self, folder: Path, server: PostgresServer, shop: ScriptedApi, crm: ScriptedApi) -> None:
        self.folder, self.server = folder, server
        self._inbox = folder / "in"
        self.down: set[str] = set()
        self._served: dict[tuple[str, str], list[dict[str, Any]]] = {}
        shop.script = self._shop(shop.url)
        crm.script = self._crm
        self.settings = SETTINGS.format(folder=folder, database=server.login(), shop=shop.url, crm=crm.url)
        self.secrets = {"SOURCES__ERP__CREDENTIALS__PASSWORD": server.login().password}
        self._whole = b""

    # -- delivering

    def deliver(self) -> None:
        """Write the week, with all that is odd in it."""
        self._query(
            "create schema core; create schema sales;"
            "create table core.orders "
            "(id bigint primary key, client bigint, ordered timestamptz, net numeric(12, 2), touched timestamptz);"
            "create view sales.order_view as select id as order_id, client as customer, ordered as ordered_at, net as total, "
            "touched as changed_at from core.orders"
        )
        for number, day in enumerate(DAYS):
            self._deliver_files(number, day)
            self._deliver_rows(number, day)
            self._served[day, "/orders"] = [
                {"orderId": one, "buyer": {"customer": one % 20 + 1}, "orderedAt": f"{day}T12:00:00Z", "total": f"{one % 50}.25"}
                for one in range(300_000 + 100 * number, 300_000 + 100 * number + 30)
            ]  # fmt: skip
            self._served[day, "/lines"] = [
                {"orderId": one["orderId"], "lineNo": line, "price": line + 0.5, "ship": {"country": "AT"}}
                for one in self._served[day, "/orders"]
                for line in (1, 2)
            ]
        self.down.add(DOWN)
        self._whole = self.broken.read_bytes()
        self.broken.write_bytes(self._whole[: len(self._whole) // 2])

    @property
    def broken(self) -> Path:
        """The file that can't be read."""
        return self._inbox / "lines" / UNREADABLE / "country=FR" / "part.parquet"

    def deliver_whole_file(self) -> None:
        self.broken.write_bytes(self._whole)

    def _deliver_files(self, number: int, day: str) -> None:
        ids = range(100_000 + 100 * number, 100_000 + 100 * number + 60)
        orders: list[dict[str, Any]] = [
            {"OrderID": one, "Customer": one % 20 + 1, "OrderedAt": f"{day}T{one % 24:02}:00:00Z", "Total": f"{one % 90}.50"}
            for one in ids
        ]  # fmt: skip
        if day == LATE:
            orders[0]["OrderedAt"] = f"{DAYS[0]}T10:00:00Z"
        if day == DRIFT:
            orders = [{**one, "Channel": "web"} for one in orders]
        if day == REPEATED:
            # unreadable money; twice in the day; also by the database; of an earlier day; of a day when its source was down
            orders[0]["Total"] = "n/a"
            orders += [
                orders[1],
                *(
                    {**orders[2], "OrderID": one}
                    for one in (200_000 + 100 * number, 100_000, 300_000 + 100 * DAYS.index(DOWN))
                ),
            ]
        folder = self._inbox / "orders" / day
        folder.mkdir(parents=True)
        with (folder / "a.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(orders[0]), delimiter=";")
            writer.writeheader()
            writer.writerows(orders[:40])
        (folder / "b.jsonl").write_text("".join(json.dumps(one) + "\n" for one in orders[40:]), encoding="utf-8")
        for country, remainder in (("DE", 0), ("FR", 1)):
            path = self._inbox / "lines" / day / f"country={country}" / "part.parquet"
            path.parent.mkdir(parents=True)
            mine = [(one, line) for one in ids if one % 2 == remainder for line in (1, 2)]
            prices = pa.array([Decimal(one % 7) + Decimal("0.25") * line for one, line in mine], pa.decimal128(9, 2))
            names = ["order_id", "line_no", "price"]
            pq.write_table(pa.table([[one for one, _ in mine], [line for _, line in mine], prices], names), path)

    def _deliver_rows(self, number: int, day: str) -> None:
        """Insert orders that the view shows; one was ordered on the day before and touched now."""
        first = 200_000 + 100 * number
        self._query(
            f"insert into core.orders select {first} + n, n % 20 + 1, timestamptz '{day} 08:00Z' "
            f"- case when n = 0 and '{day}' = '{LATE}' then interval '1 day' else interval '0' end, "
            f"n + 0.99, timestamptz '{day} 09:00Z' from generate_series(0, 29) as n"
        )

    def _query(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(connect(self.server.login())) as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall()) if cursor.description else []

    def _shop(self, url: str) -> Callable[[str, int], Answer]:
        """Serve the day's pages; nothing of a day on which the source is down."""

        def script(asked: str, number: int) -> Answer:
            parts = urlsplit(asked)
            query = parse_qs(parts.query)
            day, first = query["day"][0], int(query.get("first", ["0"])[0])
            if day in self.down:
                return Answer(b"out of order", status=503)
            records = self._served[day, parts.path]
            following = f"{url}{parts.path}?day={day}&first={first + PAGE}" if first + PAGE < len(records) else None
            return Answer(json.dumps({"data": records[first : first + PAGE], "next": following}).encode())

        return script

    def _crm(self, asked: str, number: int) -> Answer:
        return Answer(json.dumps(self.customers(parse_qs(urlsplit(asked).query)["day"][0])).encode())

    # -- counting what was delivered

    def customers(self, day: str) -> list[dict[str, Any]]:
        """Return the customers of a day: one more each day."""
        return [{"customer_id": one, "name": f"Name {one}"} for one in range(1, 21 + DAYS.index(day))]

    def orders(self, day: str) -> Iterator[Record]:
        """Read a day's orders where they lie, in the order in which their feeds were mapped."""
        folder = self._inbox / "orders" / day
        rows: list[Mapping[str, Any]] = list(csv.DictReader(io.StringIO((folder / "a.csv").read_text()), delimiter=";"))
        rows += [json.loads(line) for line in (folder / "b.jsonl").read_text().splitlines()]
        for row in rows:
            yield Record((int(row["OrderID"]),), _money(row["Total"]), row["OrderedAt"][:10])
        for number, net, ordered in self._query(
            f"select id, net, cast(ordered::date as text) from core.orders where touched::date = '{day}' order by id"
        ):
            yield Record((number,), net, ordered)
        for one in () if day in self.down else self._served[day, "/orders"]:
            yield Record((one["orderId"],), _money(one["total"]), one["orderedAt"][:10])

    def order_lines(self, day: str) -> Iterator[Record]:
        """Read a day's order lines in the same way."""
        for path in sorted((self._inbox / "lines" / day).rglob("*.parquet")):
            try:
                rows = pq.ParquetFile(path).read().to_pylist()
            except pa.ArrowInvalid:
                yield Record()
                continue
            for row in rows:
                yield Record((row["order_id"], row["line_no"]), row["price"])
        for one in () if day in self.down else self._served[day, "/lines"]:
            yield Record((one["orderId"], one["lineNo"]), _money(one["price"]))


def count(days: Sequence[tuple[str, Sequence[Record]]]) -> dict[str, Count]:
    """Count what becomes of records: no money is no record, and who comes first with a key is the one that counts."""
    seen: set[tuple[int, ...]] = set()
    counts = {}
    for day, records in days:
        good = [record for record in records if record.money is not None]
        published = []
        for record in good:
            if record.key not in seen:
                seen.add(record.key)
                published.append(record)
        counts[day] = Count(
            collected=len(records),
            quarantined=len(records) - len(good),
            duplicates=len(good) - len(published),
            published=len(published),
            money=sum((record.money for record in published if record.money), Decimal(0)),
            late=sum(record.day is not None and record.day < day for record in published),
        )
    return counts


def _money(text: Any) -> Decimal | None:
    try:
        return Decimal(str(text))
    except InvalidOperation:
        return None
