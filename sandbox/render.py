"""Writes typed values as the text that each source sends: Parquet columns, JSON payloads, pages."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sandbox.planting import Patch
from sandbox.sorts import Text, join
from sandbox.values import (
    COUNTRIES,
    CURRENCIES,
    DAY_US,
    DEVICES,
    EVENT_TYPES,
    Bits,
    Ints,
    Mask,
    Values,
)

FIELDS = (
    "event_id",
    "user_id",
    "event_type",
    "event_time",
    "amount",
    "quantity",
    "currency",
    "country",
    "device",
)
_NUMBERS = ("user_id", "amount", "quantity")

_ZONES = ("Z",) * 6 + ("",) * 2 + ("+00:00", "+01:00", "+02:00", "-05:00", "-08:00", "+05:30")
_ZONE_MINUTES = np.array([0] * 9 + [60, 120, -300, -480, 330], dtype=np.int64)
_TWO = pa.array([f"{n:02d}" for n in range(100)])
_THREE = pa.array([*(f"{n:03d}" for n in range(1000)), ""])
_TIMES = pa.array([f"{s // 3600:02d}:{s // 60 % 60:02d}:{s % 60:02d}" for s in range(86_400)])
_HEX = np.frombuffer("".join(f"{n:02x}" for n in range(256)).encode(), dtype=np.uint16)


@dataclass(slots=True)
class Column:
    """The text of one field.

    Attributes:
        text: What is sent; null means that the value is missing.
        number: Whether the row's text is written as a number where the format has numbers.
        absent: Whether the row lacks the key where the format has keys.
    """

    text: Text
    number: Mask
    absent: Mask


@dataclass(slots=True)
class Written:
    """Some records as text."""

    columns: dict[str, Column]
    patches: Sequence[Patch] = field(default_factory=tuple)
    start: int = 0


def write(date: dt.date, values: Values, ids: Ints, patches: Sequence[Patch], start: int, stop: int) -> Written:
    """Write the records from `start` to `stop` (global rows) as text, patches included."""
    part = values.part(slice(start, stop))
    style = part.style
    clean: dict[str, Text] = {
        "event_id": _event_ids(part.event),
        "user_id": pc.cast(pa.array(ids[part.user]), pa.string()),
        "event_type": _choose([t.name for t in EVENT_TYPES], part.kind),
        "event_time": _timestamps(date, part.time, style),
        "amount": amount_text(part.amount, part.whole),
        "quantity": pc.cast(pa.array(part.quantity), pa.string()),
        "currency": _choose(CURRENCIES, part.currency),
        "country": _choose(COUNTRIES, part.country),
        "device": _choose(DEVICES, part.device),
    }
    columns = {}
    for at, name in enumerate(FIELDS):
        number = (_bits(style, 40 + at, 5) < 3) & (name in _NUMBERS)
        column = Column(clean[name], number, np.zeros(stop - start, dtype=np.bool_))
        columns[name] = apply(column, [p for p in patches if p.field == name], start, stop)
    return Written(columns, patches, start)


def apply(column: Column, patches: Sequence[Patch], start: int, stop: int) -> Column:
    """Replace the text of patched records; the last patch of a record wins."""
    where = np.arange(stop - start, dtype=np.int64)
    pieces = [column.text]
    n_texts = stop - start
    for patch in patches:
        low, high = np.searchsorted(patch.rows, (start, stop))
        if low == high:
            continue
        rows = patch.rows[low:high] - start
        made = patch.sort.make(column.text.take(pa.array(rows)))
        pieces.append(made.combine_chunks() if isinstance(made, pa.ChunkedArray) else made)
        where[rows] = n_texts + np.arange(len(rows))
        n_texts += len(rows)
        column.number[rows] = patch.sort.literal
        column.absent[rows] = patch.sort.absent
    if len(pieces) == 1:
        return column
    return Column(pa.concat_arrays(pieces).take(pa.array(where)), column.number, column.absent)


def table(written: Written) -> pa.Table:
    """Return the records as a table of text columns."""
    return pa.table({name: column.text for name, column in written.columns.items()})


def payloads(written: Written) -> Text:
    """Return the records as JSON objects with the keys of the PostgreSQL payload."""
    columns = written.columns
    keys = {
        "id": "event_id",
        "user": "user_id",
        "type": "event_type",
        "time": "event_time",
        "amount": "amount",
        "quantity": "quantity",
        "currency": "currency",
        "country": "country",
        "device": "device",
    }
    whole = _object([_member(key, columns[name]) for key, name in keys.items()])
    n = len(whole)
    none = np.zeros(n, dtype=np.bool_)
    broken = [p for p in written.patches if p.field == "payload"]
    return apply(Column(whole, none, none.copy()), broken, written.start, written.start + n).text


def pages(written: Written, size: int) -> list[bytes]:
    """Return the records as JSON arrays of up to `size` objects with the keys of the API."""
    columns = written.columns
    keys = {
        "eventId": "event_id",
        "userId": "user_id",
        "eventType": "event_type",
        "timestamp": "event_time",
        "amount": "amount",
        "quantity": "quantity",
        "currency": "currency",
    }
    members = [_member(key, columns[name]) for key, name in keys.items()]
    for key, inner, name in (("location", "country", "country"), ("device", "type", "device")):
        nested = join("{", pc.fill_null(_member(inner, columns[name]), ""), "}")
        # of two records that lack the value, one lacks the object around it too
        alone = columns[name].absent & (np.arange(len(nested)) % 2 == 0)
        members.append(pc.if_else(pa.array(alone), None, join(f'"{key}":', nested)))
    objects = join(_object(members), ",")
    offsets = np.frombuffer(objects.buffers()[1], dtype=np.int32)
    data = objects.buffers()[2]
    edges = [*range(0, len(objects), size), len(objects)]
    return [
        b"[" + data[int(offsets[low]) : int(offsets[high]) - 1].to_pybytes() + b"]"
        for low, high in itertools.pairwise(edges)
    ]


def amount_text(cents: Ints, whole: Mask) -> Text:
    """Write amounts with two decimals, or as cents without a decimal point where `whole`."""
    size = np.abs(cents)
    sign = _choose(("", "-"), (cents < 0).astype(np.uint8))
    units = pc.cast(pa.array(size // 100), pa.string())
    text = join(sign, units, ".", _TWO.take(pa.array(size % 100)))
    if not whole.any():
        return text
    return pc.if_else(pa.array(whole), pc.cast(pa.array(cents), pa.string()), text)


def _object(members: Sequence[Text]) -> Text:
    inner = pc.binary_join_element_wise(*members, ",", null_handling="skip")
    return join("{", inner, "}")


def _member(key: str, column: Column) -> Text:
    text = column.text
    for special, escaped in (("\\", "\\\\"), ('"', '\\"'), ("\t", "\\t"), ("\r", "\\r")):
        text = pc.replace_substring(text, special, escaped)
    text = pc.replace_substring(text, "\n", "\\n")
    quoted = join('"', text, '"')
    if column.number.any():
        quoted = pc.if_else(pa.array(column.number), column.text, quoted)
    member = join(f'"{key}":', pc.fill_null(quoted, "null"))
    if not column.absent.any():
        return member
    return pc.if_else(pa.array(column.absent), pa.scalar(None, pa.string()), member)


def _event_ids(event: Bits) -> Text:
    n = len(event)
    chars = np.empty((n, 20), dtype=np.uint8)
    chars[:, :4] = np.frombuffer(b"evt_", dtype=np.uint8)
    octets = event.astype(">u8").view(np.uint8)
    chars[:, 4:] = _HEX[octets].view(np.uint8).reshape(n, 16)
    offsets = np.arange(0, 20 * n + 1, 20, dtype=np.int32)
    return pa.StringArray.from_buffers(n, pa.py_buffer(offsets), pa.py_buffer(chars))


def _timestamps(date: dt.date, time: Ints, style: Bits) -> Text:
    zone = _bits(style, 0, 14)
    local = time + _ZONE_MINUTES[zone] * 60_000_000
    day, within = np.divmod(local, DAY_US)
    seconds, fraction = np.divmod(within, 1_000_000)
    milli, micro = np.divmod(fraction, 1_000)
    # of ten records four have whole seconds, three milliseconds and three microseconds
    digits = _bits(style, 8, 10)
    milli[digits < 4] = 1_000
    micro[digits < 7] = 1_000
    days = [(date + dt.timedelta(days=n)).isoformat() for n in (-2, -1, 0, 1)]
    return join(
        _choose(days, day + 2),
        _choose(("T", " "), _bits(style, 16, 5) == 0),
        _TIMES.take(pa.array(seconds)),
        _choose((".", ""), digits < 4),
        _THREE.take(pa.array(milli)),
        _THREE.take(pa.array(micro)),
        _choose(_ZONES, zone),
    )


def _bits(style: Bits, at: int, n_values: int) -> Ints:
    return ((style >> np.uint64(at)) % np.uint64(256) % np.uint64(n_values)).astype(np.int64)


def _choose(texts: Sequence[str], index: npt.NDArray[np.generic]) -> Text:
    return pa.array(texts, pa.string()).take(pa.array(index.astype(np.int64)))
