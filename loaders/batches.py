"""Hand rows over in batches of so many bytes, whatever sizes a reader yields."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass
class Batches:
    """Puts small tables together and cuts large ones, and counts what it handed over.

    Attributes:
        limit_bytes: Most bytes of a batch; only a single record may be larger.
        handed_over: Batches so far.
        largest_bytes: Of the largest of them.
    """

    limit_bytes: int
    handed_over: int = 0
    largest_bytes: int = 0

    def of(self, tables: Iterable[tuple[str, pa.Table]]) -> Iterator[tuple[str, pa.Table]]:
        """Yield the rows of named tables in their order, table by table."""
        held: dict[str, list[pa.Table]] = {}
        sizes: dict[str, int] = {}
        for name, table in tables:
            for part in _cut(table, self.limit_bytes) if table.num_rows else ():
                size = part.nbytes
                if sizes.get(name, 0) + size > self.limit_bytes and held.get(name):
                    yield name, self._join(held.pop(name))
                    sizes[name] = 0
                held.setdefault(name, []).append(part)
                sizes[name] = sizes.get(name, 0) + size
        for name, rest in held.items():
            yield name, self._join(rest)

    def _join(self, parts: list[pa.Table]) -> pa.Table:
        import pyarrow as pa

        batch = pa.concat_tables(parts)
        self.handed_over += 1
        self.largest_bytes = max(self.largest_bytes, batch.nbytes)
        return batch


def _cut(table: pa.Table, limit_bytes: int) -> Iterator[pa.Table]:
    """Yield slices of a table, none above the limit unless it is a single row: halving finds long rows wherever they are."""
    if table.nbytes <= limit_bytes or table.num_rows <= 1:
        yield table
        return
    half = table.num_rows // 2
    yield from _cut(table.slice(0, half), limit_bytes)
    yield from _cut(table.slice(half), limit_bytes)
