"""Read Parquet as text columns, in batches that are cut by what they take when decoded.

A value that a dictionary holds once is never decoded for more rows than a batch may hold. One that is stored plainly is decoded
with its page before its size is known: `max_object_bytes` bounds it.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from loaders.attempt import BATCH_BYTES
from loaders.formats.files import Landed, Opened, Options, Piece, Unreadable, too_large
from loaders.formats.raw import TEXT, Rejected, clean_text, undecodable
from loaders.formats.streams import escaped, raw_blocks

_COLUMN_BYTES = 32 * 1024
"""What a batch holds of each column at least, as far as it may: every column of every batch costs some calls, however short it is."""
_VALUE_BYTES = 16
"""About what a short value takes as text, with its offset."""
_WIDE_BYTES = 1024
"""A dictionary with a longer value than this is decoded only after its column was cut into batches."""
_UNREADABLE = (pa.ArrowException, OSError, ValueError)


def open_parquet(file: Landed, options: Options) -> Opened:
    """Open a Parquet file and check that its size when decompressed is under the cap.

    Raises:
        Unreadable: When it is no Parquet file, lacks its footer or is too large.
    """
    limit = options.max_object_bytes
    try:
        with _seekable(file, limit) as path, pq.ParquetFile(path) as opened:
            meta, names = opened.metadata, tuple(opened.schema_arrow.names)
            types = tuple(map(str, opened.schema_arrow.types))
    except _UNREADABLE as error:
        raise Unreadable("file_unreadable", _first_line(error)) from error
    size = sum(meta.row_group(i).total_byte_size for i in range(meta.num_row_groups))
    if size > limit:
        raise Unreadable("file_too_large", f"{size} bytes when decoded, the limit is {limit}")
    return Opened(file, names, lambda columns: _read(file, meta, columns, options), types)


@contextmanager
def _seekable(file: Landed, limit: int) -> Iterator[str]:
    """Give a path to read from any place: a compressed file is unpacked beside itself, since its size may exceed the memory."""
    if not file.compression:
        yield str(file.path)
        return
    with tempfile.NamedTemporaryFile(dir=file.path.parent, prefix=".") as unpacked:
        for block in raw_blocks(file, limit):
            unpacked.write(block)
        unpacked.flush()
        yield unpacked.name


def _read(file: Landed, meta: pq.FileMetaData, names: list[str], options: Options) -> Iterator[Piece]:
    row, size = 1, 0
    try:
        with _seekable(file, options.max_object_bytes) as path:
            for batch in _batches(path, meta, options.max_record_bytes):
                taken = _decoded_bytes(batch)
                size += taken
                if size > options.max_object_bytes:
                    detail = f"from row {row} on: more than {options.max_object_bytes} bytes when decoded"
                    raise Unreadable("file_too_large", detail)
                if taken > options.max_record_bytes:
                    # only a batch of one row can be this large
                    yield Piece(rejected=(too_large(file, row, options, _head(batch, names)),))
                else:
                    yield _piece(file, batch, names, row)
                row += batch.num_rows
    except _UNREADABLE as error:
        raise Unreadable("file_unreadable", f"from row {row} on: {_first_line(error)}") from error


def _batches(path: str, meta: pq.FileMetaData, most: int) -> Iterator[pa.RecordBatch]:
    """Yield a file in batches of several rows that take no more than `most` bytes when decoded, or of one row."""
    budget = min(max(BATCH_BYTES, _COLUMN_BYTES * meta.num_columns), 4 * BATCH_BYTES, most)
    texts = [
        column.path
        for column in map(meta.schema.column, range(meta.num_columns))
        if column.physical_type == "BYTE_ARRAY"
    ]
    for group in range(meta.num_row_groups):
        part = meta.row_group(group)
        if not part.num_rows:
            continue
        width, wide = 0, []
        # what is stored once may be used by any number of rows: the dictionaries come whole with the first row
        with pq.ParquetFile(path, metadata=meta, read_dictionary=texts) as opened:
            first = next(opened.iter_batches(1, row_groups=[group]))
        leaves = (leaf for column in first.columns for leaf in _leaves(column))
        for index, leaf in enumerate(leaves):
            chunk = part.column(index)
            each = max(_VALUE_BYTES, meta.schema.column(index).length)
            if pa.types.is_dictionary(leaf.type):
                longest = 4 + (pc.max(pc.binary_length(leaf.dictionary)).as_py() or 0)
                each = max(each, min(longest, _WIDE_BYTES))
                if longest > _WIDE_BYTES:
                    wide.append(chunk.path_in_schema)
            width += max(chunk.total_uncompressed_size, each * chunk.num_values) // part.num_rows
        with pq.ParquetFile(path, metadata=meta, read_dictionary=wide) as opened:
            for batch in opened.iter_batches(max(1, budget // max(1, width)), row_groups=[group]):
                yield from _halves(batch, budget)


def _halves(batch: pa.RecordBatch, budget: int) -> Iterator[pa.RecordBatch]:
    if batch.num_rows <= 1 or _decoded_bytes(batch) <= budget:
        yield batch
    else:
        middle = batch.num_rows // 2
        yield from _halves(batch.slice(0, middle), budget)
        yield from _halves(batch.slice(middle), budget)


def _decoded_bytes(batch: pa.RecordBatch) -> int:
    """Return about what a batch takes as text."""
    size = int(batch.nbytes)
    for column, kind in zip(batch.columns, batch.schema.types, strict=True):
        nested = pa.types.is_nested(kind)
        for leaf in _leaves(column) if nested else (column,):
            # its name comes with each value of a struct
            size += 2 * _VALUE_BYTES * len(leaf) if nested else 0
            if pa.types.is_dictionary(leaf.type):
                size += (pc.sum(pc.binary_length(leaf.dictionary).take(leaf.indices)).as_py() or 0) - leaf.nbytes
    return size


def _leaves(array: pa.Array) -> Iterator[pa.Array]:
    if pa.types.is_struct(array.type):
        for child in array.flatten():
            yield from _leaves(child)
    elif pa.types.is_nested(array.type):
        yield from _leaves(array.flatten())
    else:
        yield array


def _head(batch: pa.RecordBatch, names: list[str]) -> str:
    """Return how the values of a batch's only row begin."""
    begins = {}
    for name, column in zip(names, batch.columns, strict=True):
        if not pa.types.is_nested(column.type) and column.null_count == 0:
            begins[name] = escaped(as_text(column).view(pa.binary())[0].as_buffer()[:_WIDE_BYTES].to_pybytes())
    return json.dumps(begins, ensure_ascii=False)


def _piece(file: Landed, batch: pa.RecordBatch, names: list[str], row: int) -> Piece:
    columns = dict(zip(names, map(as_text, batch.columns), strict=True))
    bad: dict[int, list[str]] = {}
    for name, array in columns.items():
        for index in undecodable(array):
            bad.setdefault(index, []).append(name)
    if not bad:
        return Piece({name: clean_text(array) for name, array in columns.items()}, batch.num_rows, row)
    binary = {name: array.view(pa.binary()) for name, array in columns.items()}
    rejected = []
    for index, lost in bad.items():
        values = {name: array[index].as_py() for name, array in binary.items()}
        texts = {name: None if value is None else escaped(value) for name, value in values.items()}
        payload = json.dumps(texts, ensure_ascii=False)
        rejected.append(Rejected(file.key, row + index, "undecodable_text", f"not UTF-8: {', '.join(lost)}", payload))
    good = np.delete(np.arange(batch.num_rows, dtype=np.int64), list(bad))
    kept = {name: clean_text(array.take(good).view(TEXT)) for name, array in binary.items()}
    return Piece(kept, len(good), pa.array(good + row), tuple(rejected))


def _first_line(error: BaseException) -> str:
    told = (str(error).strip().splitlines() or [type(error).__name__])[0]
    # what may be the cause follows
    return told.partition(". ")[0][:300]


def as_text(array: pa.Array) -> pa.Array:
    """Return any Arrow array as text: timestamps in ISO with their zone, nested ones as JSON.

    Bytes keep their bits, also those that are no text.
    """
    kind = array.type
    if kind == TEXT:
        return array
    if pa.types.is_dictionary(kind):
        return as_text(array.dictionary_decode())
    if pa.types.is_timestamp(kind):
        return _timestamp_text(array)
    if pa.types.is_nested(kind):
        return _json_text(array)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return array.cast(pa.binary()).view(TEXT)
    if pa.types.is_fixed_size_binary(kind):
        return as_text(array.cast(pa.binary()))
    if isinstance(kind, pa.BaseExtensionType):
        return as_text(array.storage)
    return array.cast(TEXT)


def _json_text(array: pa.Array) -> pa.Array:
    values: Any
    try:
        values = array.to_pylist()
    except (ValueError, OverflowError, pa.ArrowException):
        # a value that Python has no type for, such as nanoseconds or the year 10000
        values = map(_plain, array)
    texts = (None if value is None else json.dumps(value, default=_word, ensure_ascii=False) for value in values)
    return pa.array((text and text.encode("utf-8", "surrogateescape") for text in texts), pa.binary()).view(TEXT)


def _word(value: Any) -> str:
    """Return what JSON has no type for as text; bytes that are none keep their bits."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def _plain(value: pa.Scalar) -> Any:
    """Return a value as `to_pylist` does, and what it can't give as Arrow's text."""
    if not value.is_valid:
        return None
    if isinstance(value, pa.StructScalar):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, pa.MapScalar):
        return [[_plain(item) for item in pair.values()] for pair in value.values]
    if isinstance(value, pa.ListScalar):
        return [_plain(item) for item in value.values]
    try:
        return value.as_py()
    except (ValueError, OverflowError):
        return as_text(pa.array([value], value.type))[0].as_py()


def _timestamp_text(array: pa.Array) -> pa.Array:
    zone = array.type.tz
    if array.type.unit == "ns":
        # true nanoseconds stay as they are
        with suppress(pa.ArrowInvalid):
            array = array.cast(pa.timestamp("us", zone))
    if zone is not None:
        array = array.cast(pa.timestamp(array.type.unit, "UTC"))
    return array.cast(TEXT)
