"""What a source hands over at once stays within its bytes, whatever sizes its reader yields."""

from __future__ import annotations

import random

import pyarrow as pa
import pytest

from loaders.__main__ import parse_arguments
from loaders.batches import Batches
from loaders.errors import ConfigurationError

SCHEMA = pa.schema([("row", pa.int64()), ("text", pa.string())])
REQUIRED = ["--date", "2025-11-16", "--run-id", "r", "--target", "duckdb", "--workdir", "w"]


def random_tables(draw: random.Random) -> list[tuple[str, pa.Table]]:
    lengths = [draw.choice((0, 1, 10, 200)) for _ in range(draw.randrange(1, 30))]
    rows = iter(range(10**6))
    return [
        (
            draw.choice(("events", "users")),
            pa.table(
                [[next(rows) for _ in range(n)], ["x" * draw.choice((0, 5, 3_000)) for _ in range(n)]], schema=SCHEMA
            ),
        )
        for n in lengths
    ]


@pytest.mark.parametrize("seed", range(50))
def test_every_row_arrives_once_in_order_and_no_batch_is_larger_than_asked_for(seed: int) -> None:
    draw = random.Random(seed)
    tables = random_tables(draw)
    limit = draw.choice((1, 100, 10_000, 10**6))
    batches = Batches(limit)
    handed_over = list(batches.of(tables))
    for name in {name for name, table in tables if table.num_rows}:
        expected = pa.concat_tables(table for other, table in tables if other == name)
        assert pa.concat_tables(table for other, table in handed_over if other == name).equals(expected)
    sizes = [(table.nbytes, table.num_rows) for _, table in handed_over]
    assert all(size <= limit or rows <= 1 for size, rows in sizes)
    assert (batches.handed_over, batches.largest_bytes) == (len(sizes), max((size for size, _ in sizes), default=0))


def test_small_tables_are_put_together_as_far_as_they_fit() -> None:
    table = pa.table({"row": pa.array(range(100), pa.int64())})
    batches = Batches(2_000)
    assert [part.num_rows for _, part in batches.of([("events", table)] * 5)] == [200, 200, 100]


def test_the_limit_is_given_by_source() -> None:
    settings, _ = parse_arguments([*REQUIRED, "--batch-bytes", "s3=1048576", "--batch-bytes", "api=5"])
    assert settings.batch_bytes == {"s3": 1_048_576, "api": 5}


@pytest.mark.parametrize("text", ["s3", "s3=", "=5", "s3=0", "s3=-1", "s3=16MB", "s3=٣"])
def test_a_limit_that_is_none_is_an_error(text: str) -> None:
    with pytest.raises(ConfigurationError, match="--batch-bytes"):
        parse_arguments([*REQUIRED, "--batch-bytes", text])
