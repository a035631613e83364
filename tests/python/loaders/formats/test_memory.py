"""What is small as received and huge when decoded takes no more memory than any other file."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from format_helpers import peak_of_reading

from loaders.formats.files import Landed

MOST_MIB = 700
"""Python and Arrow take 120, a record of the largest size allowed some copies; four copies of a file are more."""
MIB = 1024**2


def zipped(*parts: tuple[bytes, int]) -> Callable[[Path], None]:
    """A gzip of parts, each so many times; a gzip may be a series of others, so that each is packed once."""

    def write(path: Path) -> None:
        path.write_bytes(b"".join(gzip.compress(part, 1) * times for part, times in parts))

    return write


def constant_columns(path: Path) -> None:
    value = pa.repeat(pa.scalar("always the same"), 20_000)
    pq.write_table(pa.table({f"c{number}": value for number in range(3_000)}), path)


def giant_value(path: Path) -> None:
    indices = pa.array([0] * 4_096, pa.int32())
    value = pa.DictionaryArray.from_arrays(indices, ["z" * (MIB // 2)])
    pq.write_table(pa.table({"a": value}), path, store_schema=False)


def giant_value_in_a_struct(path: Path) -> None:
    pq.write_table(pa.table({"a": [{"v": "z" * (MIB // 2)}] * 1_024}), path)


def long_values_in_many_columns(path: Path) -> None:
    value = pa.DictionaryArray.from_arrays(pa.array([0] * 1_000, pa.int32()), ["z" * 8_192])
    pq.write_table(pa.table({f"c{number}": value for number in range(200)}), path, store_schema=False)


def giant_value_of_fixed_size(path: Path) -> None:
    value = pa.array([b"z" * (MIB // 2)], pa.binary(MIB // 2))
    pq.write_table(pa.table({"a": pa.chunked_array([value] * 1_024)}), path)


@pytest.mark.parametrize(
    ("name", "write", "count", "reasons"),
    [
        ("line.jsonl.gz", zipped((b'{"x":"', 1), (b"y" * MIB, 256), (b'"}\n{}\n', 1)), 1, ["record_too_large"]),
        ("line.csv.gz", zipped((b"a,b\n1,", 1), (b"y" * MIB, 256), (b"\n1,2\n", 1)), 1, ["record_too_large"]),
        ("header.csv.gz", zipped((b"y" * MIB, 256)), 0, ["record_too_large"]),
        ("item.json.gz", zipped((b'["', 1), (b"y" * MIB, 256), (b'"]', 1)), 0, ["record_too_large"]),
        ("nul.jsonl.gz", zipped((b"\0" * MIB, 256)), 0, ["record_too_large"]),
        ("no.parquet.gz", zipped((b"\0" * MIB, 256)), 0, ["file_unreadable"]),
        ("wide.parquet", constant_columns, 20_000, []),
        ("giant.parquet", giant_value, 4_096, []),
        ("nested.parquet", giant_value_in_a_struct, 1_024, []),
        ("fixed.parquet", giant_value_of_fixed_size, 1_024, []),
        ("long.parquet", long_values_in_many_columns, 1_000, []),
    ],
)
def test_a_small_file_that_decodes_to_a_huge_one_takes_little_memory(
    tmp_path: Path, name: str, write: Callable[[Path], None], count: int, reasons: list[str]
):
    write(tmp_path / name)
    peak, found, why = peak_of_reading(Landed(name, tmp_path / name))
    assert (found, why) == (count, reasons)
    assert peak < MOST_MIB
