"""Generates one deterministic day: what each source holds, and what a pipeline must find in it."""

from __future__ import annotations

import datetime as dt
import io
import itertools
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sandbox import render
from sandbox.figures import SOURCES, Expected, planned_figures
from sandbox.planting import Planter
from sandbox.roles import Ledger
from sandbox.values import COUNTRIES, Ints, Values, draw_values, mix, user_details, user_ids

FILES = 15
PAGE_SIZE = 1_000
_USERS = 20_000
_MIN_USERS = 200
# rows that are written as text at a time; bounds the memory of a scaled day
_CHUNK = 500_000


@dataclass(frozen=True, slots=True)
class Day:
    """One day of all sources. Text is written when asked for, some hundred thousand rows at a time.

    Attributes:
        date: The day in UTC.
        scale: What the golden day's size is multiplied by.
        prefix: Where the S3 objects are, as in `raw/2025/11/16/`.
        table: Name of the PostgreSQL table, as in `transactions_2025_11_16`.
        file_rows: Per S3 object its rows within the source.
    """

    date: dt.date
    scale: float
    prefix: str
    table: str
    file_rows: tuple[slice, ...]
    _values: Values
    _planter: Planter
    _users: Ints

    def s3_tables(self) -> Iterator[tuple[str, pa.Table]]:
        """Yield key and records of each S3 object, all columns text."""
        start = 0
        while start < len(self.file_rows):
            stop = start + 1
            first = self.file_rows[start].start
            while stop < len(self.file_rows) and self.file_rows[stop].stop - first <= _CHUNK:
                stop += 1
            whole = render.table(self._write("s3", first, self.file_rows[stop - 1].stop))
            for at in range(start, stop):
                rows = self.file_rows[at]
                part = whole.slice(rows.start - first, rows.stop - rows.start)
                yield f"{self.prefix}part-{at:02d}.parquet", part
            start = stop

    def s3_objects(self) -> Iterator[tuple[str, bytes]]:
        """Yield key and content (Parquet) of each S3 object."""
        with ThreadPoolExecutor(2) as pool:
            tables = self.s3_tables()
            # two at a time keep both cores busy and only two files in memory
            while pair := tuple(itertools.islice(tables, 2)):
                yield from pool.map(_encoded, pair)

    def transactions(self) -> Iterator[pa.Table]:
        """Yield the PostgreSQL transactions as tables of id, payload and recorded_at."""
        n = self._count("postgres")
        for start in range(0, n, _CHUNK):
            stop = min(start + _CHUNK, n)
            payload = render.payloads(self._write("postgres", start, stop))
            first = self._first("postgres")
            part = self._values.part(slice(first + start, first + stop))
            delay = (part.style % np.uint64(120_000_000)).astype(np.int64)
            midnight = (self.date - dt.date(1970, 1, 1)).days * 86_400_000_000
            recorded = pa.array(part.time + delay + midnight, pa.timestamp("us", "UTC"))
            number = np.arange(start, stop) + self.date.toordinal() * 100_000_000 + 1
            yield pa.table({"id": number, "payload": payload, "recorded_at": recorded})

    def users(self) -> pa.Table:
        """Return the users table: user_id, country and created_at."""
        country, age = user_details(self.date, len(self._users))
        midnight = (self.date - dt.date(1970, 1, 1)).days * 86_400
        created = pa.array((midnight - age) * 1_000_000, pa.timestamp("us", "UTC"))
        names = pa.array(COUNTRIES).take(pa.array(country))
        return pa.table({"user_id": self._users, "country": names, "created_at": created})

    def api_pages(self) -> list[bytes]:
        """Return the API's pages: each a JSON array of up to 1,000 records."""
        n = self._count("api")
        pages: list[bytes] = []
        for start in range(0, n, _CHUNK):
            written = self._write("api", start, min(start + _CHUNK, n))
            pages += render.pages(written, PAGE_SIZE)
        return pages

    def expected(
        self,
        missing: Collection[str] = (),
        users_known: bool | None = None,
        lost_files: Collection[int] = (),
    ) -> Expected:
        """Return what a pipeline must find.

        Args:
            missing: Names of the sources that are not there.
            users_known: Whether orphans can be told; by default when PostgreSQL, which holds the
                users, is there.
            lost_files: Numbers of the S3 objects that can't be read.
        """
        if users_known is None:
            users_known = "postgres" not in missing
        lost = {"s3": [self.file_rows[at] for at in lost_files]}
        return self._planter.ledger.expected(missing, users_known, lost)

    @property
    def ledger(self) -> Ledger:
        """What was planted in which record."""
        return self._planter.ledger

    def _first(self, source: str) -> int:
        return self._planter.ledger.offsets[SOURCES.index(source)]

    def _count(self, source: str) -> int:
        offsets = self._planter.ledger.offsets
        return offsets[SOURCES.index(source) + 1] - offsets[SOURCES.index(source)]

    def _write(self, source: str, start: int, stop: int) -> render.Written:
        first = self._first(source)
        patches = self._planter.patches[source]
        return render.write(self.date, self._values, self._users, patches, first + start, first + stop)


def generate_day(date: dt.date, scale: float = 1.0, extra_defects: Mapping[str, int] | None = None) -> Day:
    """Generate a day, the same one for the same arguments.

    Args:
        date: The day in UTC; on 2025-11-16 the golden figures are planted.
        scale: Multiplies every figure; 0.01 to 100.
        extra_defects: Further defects for the S3 source by kind (see `roles.EXTRA_KINDS`).

    Raises:
        ValueError: When `scale` or `extra_defects` can't be had.
    """
    planned = planned_figures(date, scale)
    counts = [planned[name].collected for name in SOURCES]
    n_users = max(_MIN_USERS, round(_USERS * scale))
    values = draw_values(date, counts, n_users)
    planter = Planter(date.toordinal(), values, planned)
    planter.plant(extra_defects or {})
    return Day(
        date=date,
        scale=scale,
        prefix=f"raw/{date:%Y/%m/%d}/",
        table=f"transactions_{date:%Y_%m_%d}",
        file_rows=_file_rows(date, counts[0]),
        _values=values,
        _planter=planter,
        _users=user_ids(n_users),
    )


def _file_rows(date: dt.date, n: int) -> tuple[slice, ...]:
    numbers = np.arange(FILES, dtype=np.uint64) + np.uint64(date.toordinal())
    weights = 0.6 + (mix(numbers) % np.uint64(1_000)).astype(np.float64) / 1_250
    edges = np.rint(np.cumsum(weights) / weights.sum() * n).astype(int)
    starts = [0, *(int(edge) for edge in edges[:-1])]
    return tuple(slice(a, int(b)) for a, b in zip(starts, edges, strict=True))


def _encoded(item: tuple[str, pa.Table]) -> tuple[str, bytes]:
    key, records = item
    sink = io.BytesIO()
    few_values = ["event_type", "quantity", "currency", "country", "device"]
    pq.write_table(records, sink, compression="snappy", use_dictionary=few_values)
    return key, sink.getvalue()
