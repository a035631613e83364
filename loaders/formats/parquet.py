"""Read Parquet as text columns, in batches that are cut by what they take when decoded."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from loaders.formats.files import Landed, Opened, Options, Piece, Unreadable, rejected_piece, too_large
from loaders.formats.raw import BATCH_BYTES, TEXT, Rejected, clean_text
from loaders.formats.streams import escaped, raw_blocks

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
    except _UNREADABLE as error:
        raise Unreadable("file_unreadable", _first_line(error)) from error
    size = sum(meta.row_group(i).total_byte_size for i in range(meta.num_row_groups))
    if size > limit:
        raise Unreadable("file_too_large", f"{size} bytes when decoded, the limit is {limit}")
    return Opened(file, names, lambda columns: _read(file, meta, columns, options))


@contextmanager
def _seekable(file: Landed, limit: int) -> Iterator[str]:
    """Give a path to read from any place: a gzipped file is unpacked beside itself, since its size may exceed the memory."""
    if not file.is_gzip:
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
            for group in range(meta.num_row_groups):
                for batch in _batches(path, meta, group, min(BATCH_BYTES, options.max_record_bytes)):
                    taken = _decoded_bytes(batch)
                    size += taken
                    if size > options.max_object_bytes:
                        detail = f"from row {row} on: more than {options.max_object_bytes} bytes when decoded"
                        raise Unreadable("file_too_large", detail)
                    if taken > options.max_record_bytes:
                        # only a batch of one row can be this large
                        yield rejected_piece(too_large(file, row, options, _head(batch, names)))
                    else:
                        yield _piece(file, batch, names, row)
                    row += batch.num_rows
    except _UNREADABLE as error:
        raise Unreadable("file_unreadable", f"from row {row} on: {_first_line(error)}") from error


def _batches(path: str, meta: pq.FileMetaData, group: int, budget: int) -> Iterator[pa.RecordBatch]:
    """Yield a row group in batches that take about `budget` bytes when decoded, or are one row."""
    part = meta.row_group(group)
    if not part.num_rows:
        return
    chunks = [part.column(i) for i in range(part.num_columns)]
    widths = {
        chunk.path_in_schema: max(chunk.total_uncompressed_size, _VALUE_BYTES * chunk.num_values) // part.num_rows
        for chunk in chunks
    }
    # what is stored once may be used by any number of rows
    shared = [
        chunk.path_in_schema
        for chunk in chunks
        if chunk.physical_type == "BYTE_ARRAY"
        and any("DICTIONARY" in encoding for encoding in chunk.encodings)
        and chunk.total_uncompressed_size * part.num_rows > budget
    ]
    if shared:
        with pq.ParquetFile(path, metadata=meta, read_dictionary=shared) as opened:
            first = next(opened.iter_batches(1, row_groups=[group], columns=shared))
        leaves = [leaf for column in first.columns for leaf in _leaves(column)]
        for name, leaf in zip(shared, leaves, strict=True):
            longest = pc.max(pc.binary_length(leaf.dictionary)).as_py() or 0
            widths[name] = max(widths[name], min(longest, _WIDE_BYTES))
        shared = [name for name in shared if widths[name] >= _WIDE_BYTES]
    rows = max(1, budget // sum(widths.values()))
    with pq.ParquetFile(path, metadata=meta, read_dictionary=shared) as opened:
        for batch in opened.iter_batches(rows, row_groups=[group]):
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
    size = 0
    for column in batch.columns:
        for leaf in _leaves(column):
            if pa.types.is_dictionary(leaf.type):
                size += pc.sum(pc.binary_length(leaf.dictionary).take(leaf.indices)).as_py() or 0
            else:
                size += leaf.nbytes
            if pa.types.is_nested(column.type):
                # its name comes with each value
                size += 2 * _VALUE_BYTES * len(leaf)
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
    columns = {name: as_text(batch.column(i)) for i, name in enumerate(names)}
    bad = _invalid_rows(columns)
    if bad:
        return _without(file, batch.num_rows, columns, bad, row)
    return Piece({name: clean_text(array) for name, array in columns.items()}, batch.num_rows, row)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


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
        if any(_is_bytes(leaf.type) for leaf in _leaves(array)):
            raise ValueError
        values = array.to_pylist()
    except (ValueError, OverflowError, pa.ArrowException):
        # a value that Python has no type for, such as nanoseconds or the year 10000
        values = map(_plain, array)
    texts = (None if value is None else json.dumps(value, default=str, ensure_ascii=False) for value in values)
    return pa.array((text and text.encode("utf-8", "surrogateescape") for text in texts), pa.binary()).view(TEXT)


def _is_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _plain(value: pa.Scalar) -> Any:
    """Return a value as `to_pylist` does, what it can't give as Arrow's text, and bytes as text; what is none keeps its bits."""
    if not value.is_valid:
        return None
    if isinstance(value, pa.StructScalar):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, pa.MapScalar):
        return [[_plain(item) for item in pair.values()] for pair in value.values]
    if isinstance(value, pa.ListScalar):
        return [_plain(item) for item in value.values]
    if isinstance(value, pa.DictionaryScalar):
        return _plain(value.value)
    if isinstance(value, pa.ExtensionScalar):
        return _plain(value.value)
    if isinstance(value, pa.BinaryScalar):
        return value.as_buffer().to_pybytes().decode("utf-8", "surrogateescape")
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


def _invalid_rows(columns: dict[str, pa.Array]) -> dict[int, list[str]]:
    """Return the rows, with their columns, whose bytes are not UTF-8."""
    bad: dict[int, list[str]] = {}
    for name, array in columns.items():
        try:
            array.validate(full=True)
        except pa.ArrowInvalid:
            for index, value in enumerate(array.view(pa.binary())):
                try:
                    (value.as_py() or b"").decode()
                except UnicodeDecodeError:
                    bad.setdefault(index, []).append(name)
    return bad


def _without(file: Landed, count: int, columns: dict[str, pa.Array], bad: dict[int, list[str]], first: int) -> Piece:
    good = pa.array([index for index in range(count) if index not in bad], pa.int64())
    binary = {name: array.view(pa.binary()) for name, array in columns.items()}
    rejected = []
    for index, names in bad.items():
        row = {
            name: None if (value := array[index].as_py()) is None else escaped(value) for name, array in binary.items()
        }
        detail = f"not UTF-8: {', '.join(names)}"
        payload = json.dumps(row, ensure_ascii=False)
        rejected.append(Rejected(file.key, first + index, "undecodable_text", detail, payload))
    taken = {name: clean_text(array.take(good).view(TEXT)) for name, array in binary.items()}
    return Piece(taken, len(good), pc.add(good, first), tuple(rejected))
