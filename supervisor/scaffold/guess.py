"""What the fields of a sample seem to be: names, types, shares of nulls, keys, event time; all counted by DuckDB."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import combinations
from typing import Any

from loaders.formats.raw import PAYLOAD, column_names
from supervisor.common.text import plain_text
from supervisor.scaffold.sample import Sample

TOLERATED = 0.05
"""Share of values that may not read as a type that the others are of: dirt is what the checks are for."""
FEW_CODES = 0.01
"""Share of numbers that may begin with 0; more of them are no numbers but codes, whose zeros must stay."""
USUAL = 0.99
"""Share of numbers that set how many digits a type has; single odd ones must not."""
FEW_VALUES = 8
"""Most values of a field that are listed one by one."""
STANDARD_COLUMNS = frozenset(
    {"source", "load_date", "source_object", "source_row", "run_id", "ingested_at"}
    | {"is_late", "is_anomaly", "correction_count"}
)
"""Columns of a mart that the pipeline fills."""
RESERVED = STANDARD_COLUMNS | {"source_rank", "record_id", "record_key", "record_error", "payload", "failure_reasons"}
RESERVED |= {"flagged", "defaulted_fields", "reasons", "flags", "is_complete"}
"""Columns that the models make themselves: a field of such a name gets a suffix."""
_DATE = "[12][0-9]{3}-[01][0-9]-[0-3][0-9]"
_TIME = _DATE + "[T ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,6})?"
FORMS = {
    "bigint": "[+-]?[0-9]{1,18}",
    "numeric": "[+-]?[0-9]{1,30}([.][0-9]{1,9}0{0,30})?",
    "double precision": "[+-]?([0-9]{1,300}([.][0-9]{0,300})?|[.][0-9]{1,300})([eE][+-]?[0-9]{1,3})?",
    "date": _DATE,
    "timestamp": _TIME,
    "timestamptz": _TIME + "(Z|[+-](0[0-9]|1[0-4])(:?[0-5][0-9])?)",
}
"""The texts that macros/try_cast.sql reads as a type."""
_FLAGS = "(?i)true|false|yes|no|t|f|y|n|0|1"
_CODES = "[+-]?0[0-9]+"
_OTHER_DATES = "[0-9]{1,2}[/.][0-9]{1,2}[/.][0-9]{2,4}.*|[0-9]{4}/[0-9]{1,2}/[0-9]{1,2}.*|[12][0-9]{3}-[01][0-9]-[0-3][0-9][T ][0-9:]{4,5}"
_IS_DOCUMENT = f"case when json_valid({PAYLOAD}) then json_type({PAYLOAD}) = 'OBJECT' else false end"
_PLAIN_NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\"'\\{}%#]+")
_KINDS_OF_KEY = ("bigint", "varchar", "date")
_FIELDS_AT_ONCE = 40


@dataclass(frozen=True)
class Field:
    """A field of a feed and what it seems to be.

    Attributes:
        name: Its name in the entity.
        column: Raw column that it is, where its records come as columns.
        path: Keys of its value, the outermost first, where they come as JSON documents.
        data_type: Type of its column in the mart.
        is_typed: Whether the source itself says the type, as a database does of a reference table.
        present: Records that have a value.
        unparsable: Values that don't read as the type.
        distinct: Different values.
        in_day: Share of its values that lie in the day that was read; 0 for what is no date.
        values: Its values when they are few, else none.
        remarks: What a person should know of it.
    """

    name: str
    column: str = ""
    path: tuple[str, ...] = ()
    data_type: str = "varchar"
    is_typed: bool = False
    present: int = 0
    unparsable: int = 0
    distinct: int = 0
    in_day: float = 0.0
    values: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Guess:
    """What a raw table seems to hold.

    Attributes:
        has_columns: Whether its records come as columns.
        has_documents: Whether they come as JSON documents in `payload`; a table of several files may have both.
        count: Readable records that were looked at.
        key: Fields that tell records apart.
        repeated: Records whose key another one of the sample has too, or that lack a part of it.
        event_time: Field that says when it happened.
        left_out: Names of what can't be mapped, each with the reason.
    """

    sample: Sample
    has_columns: bool
    has_documents: bool
    count: int
    fields: tuple[Field, ...]
    key: tuple[str, ...]
    repeated: int
    event_time: str | None
    left_out: tuple[str, ...] = ()


def make_guess(connection: Any, sample: Sample, day: date) -> Guess:
    """Look at a sample and say what its fields seem to be."""
    where = "where reject_reason is null"
    count, documents = _row(connection, f"select count(*), {_documents(sample)} from {sample.relation} {where}")
    # a few texts that happen to be JSON are no documents; a table may have files of both kinds
    has_documents = documents > count * TOLERATED
    has_columns = count - documents > count * TOLERATED or not has_documents
    left_out: list[str] = []
    by_column = _fields_of_columns(sample) if has_columns else {}
    by_path = _fields_of_documents(connection, sample, where, left_out) if has_documents else {}
    fields = [Field(name, by_column.get(name, ""), by_path.get(name, ())) for name in {**by_column, **by_path}]
    texts = {field.name: _text(field) for field in fields}
    selected = ", ".join(f"nullif(trim({text}, E' \\t\\r\\n'), '') as \"{name}\"" for name, text in texts.items())
    connection.execute(
        f"create or replace temp table sampled as select {selected or '0 as nothing'} from {sample.relation} {where}"
    )
    native = _native_types(connection, sample) if not has_documents else {}
    names = list(texts)
    parts = [names[at : at + _FIELDS_AT_ONCE] for at in range(0, len(names), _FIELDS_AT_ONCE)]
    found = {one["field"]: one for part in parts for one in _statistics(connection, part, day)}
    nested = {name for name, seen in found.items() if name not in by_column and seen["json"] > seen["present"] / 2}
    left_out += [f"{'.'.join(field.path)}: an object or a list" for field in fields if field.name in nested]
    typed = [_typed(one, found.get(one.name), native.get(one.column)) for one in fields if one.name not in nested]
    typed = _counted(connection, typed)
    key, repeated = _key(connection, typed, count)
    return Guess(
        sample,
        has_columns,
        has_documents,
        count,
        tuple(typed),
        key,
        repeated,
        _event_time(typed),
        left_out=tuple(left_out),
    )


def _text(field: Field) -> str:
    """Return the expression for a field's text, from its column or its place in a document."""
    sources = [f'cast("{field.column}" as varchar)'] if field.column else []
    if field.path:
        document = f"case when {_IS_DOCUMENT} then {PAYLOAD} end"
        sources.append(f"json_extract_string({document}, '{_json_path(field.path)}')")
    return f"coalesce({', '.join(sources)})"


def _row(connection: Any, sql: str) -> tuple[Any, ...]:
    # all of the result: a connection with one that is open does nothing else
    row: tuple[Any, ...] = connection.execute(sql).fetchall()[0]
    return row


def _documents(sample: Sample) -> str:
    if not sample.has_payload:
        return "0"
    # a record of a JSON file or of an API has nothing beside its document; a rejected line is not looked at
    return f"count_if({_IS_DOCUMENT})"


def _fields_of_columns(sample: Sample) -> dict[str, str]:
    """Return the raw column of each field."""
    return {_free(name): name for name in sample.columns}


def _free(name: str) -> str:
    return f"{name}_value" if name in RESERVED else name


def _fields_of_documents(
    connection: Any, sample: Sample, where: str, left_out: list[str]
) -> dict[str, tuple[str, ...]]:
    """Return the path of each scalar value of the documents, those in objects as well; lists have no column."""
    (structure,) = _row(
        connection,
        f"select json_group_structure(case when {_IS_DOCUMENT} then cast({PAYLOAD} as json) end) "
        f"from {sample.relation} {where}",
    )
    paths = list(_scalars(json.loads(structure), (), left_out))
    names = column_names("_".join(path) for path in paths)
    return {_free(name): path for name, path in zip(names, paths, strict=True)}


def _scalars(node: Mapping[str, Any], path: tuple[str, ...], left_out: list[str]) -> Iterator[tuple[str, ...]]:
    for name, kind in node.items():
        here = (*path, name)
        if not _PLAIN_NAME.fullmatch(name):
            left_out.append(f"{'.'.join((*path, plain_text(name, 40)))}: a name with odd characters".replace("{", "("))
        elif isinstance(kind, Mapping):
            yield from _scalars(kind, here, left_out)
        elif isinstance(kind, list):
            left_out.append(f"{'.'.join(here)}: a list")
        else:
            yield here


def _json_path(path: Sequence[str]) -> str:
    return "$" + "".join(f'."{name}"' for name in path)


def _native_types(connection: Any, sample: Sample) -> dict[str, str]:
    """Types that the source itself gives the columns of a reference table, as the contract writes them."""
    names = {"DOUBLE": "double precision", "TIMESTAMP WITH TIME ZONE": "timestamptz", "FLOAT": "double precision"}
    names |= dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "BIGINT"), "bigint")
    described = connection.execute(f"describe {sample.relation}").fetchall()
    types = {name: names.get(kind, kind.lower().replace(",", ", ")) for name, kind, *_ in described}
    return {name: kind for name, kind in types.items() if kind != "varchar" and re.match(r"[a-z ]+(\(.*\))?$", kind)}


def _statistics(connection: Any, names: Sequence[str], day: date) -> list[dict[str, Any]]:
    """Count, in one pass over the values of some fields, what each of them looks like."""
    matching = ", ".join(f"count_if(regexp_full_match(value, '{form}')) as \"{name}\"" for name, form in FORMS.items())
    cursor = connection.execute(f"""
        select
            field,
            count(*) as present,
            count(distinct value) as distinct_values,
            {matching},
            count_if(regexp_full_match(value, '{_CODES}')) as codes,
            count_if(regexp_full_match(value, '{_OTHER_DATES}')) as other_dates,
            count_if(left(value, 1) in ('{{', '[') and json_valid(value)) as json,
            count(try_cast(left(value, 10) as date)) filter (regexp_full_match(value, '{_DATE}.*')) as dates,
            count_if(try_cast(left(value, 10) as date) = date '{day}') filter (regexp_full_match(value, '{_DATE}.*')) as in_day,
            quantile_disc(length(regexp_extract(value, '^[+-]?([0-9]+)', 1)), {USUAL})
                filter (regexp_full_match(value, '{FORMS["numeric"]}')) as digits,
            quantile_disc(length(rtrim(regexp_extract(value, '[.]([0-9]+)$', 1), '0')), {USUAL})
                filter (regexp_full_match(value, '{FORMS["numeric"]}')) as places,
            case when count(distinct value) <= {FEW_VALUES} then list_sort(list(distinct value)) end as few
        from (unpivot (select {", ".join(f'"{name}"' for name in names)} from sampled) on columns(*) into name field value value)
        group by field
    """)
    columns = [column[0] for column in cursor.description]
    return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]


def _typed(field: Field, seen: Mapping[str, Any] | None, native: str | None) -> Field:
    if seen is None:
        return replace(
            field, data_type=native or "varchar", is_typed=native is not None, remarks=("no value in the sample",)
        )
    kind, *remarks = (native,) if native else _kind(seen)
    is_few = kind == "varchar" and seen["present"] >= 10 * seen["distinct_values"]
    return replace(
        field,
        data_type=kind,
        is_typed=native is not None,
        present=seen["present"],
        distinct=seen["distinct_values"],
        in_day=(seen["in_day"] or 0) / seen["present"] if kind in ("date", "timestamp", "timestamptz") else 0.0,
        values=tuple(seen["few"] or ()) if is_few else (),
        remarks=tuple(remarks),
    )


def _kind(seen: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the narrowest type that nearly all values read as, and what is to be said of it."""
    present = seen["present"]
    enough = present * (1 - TOLERATED)
    words = {str(value).lower() for value in seen["few"] or ()}
    if words in ({"true", "false"}, {"yes", "no"}, {"t", "f"}, {"y", "n"}, {"true"}, {"false"}):
        return ("boolean",)
    if seen["codes"] > present * FEW_CODES:
        return "varchar", "has values that begin with 0, so it is kept as text"
    if seen["bigint"] >= enough:
        return ("bigint",)
    if seen["numeric"] >= enough:
        places = max(2, seen["places"])
        # one digit is kept free, as try_cast does
        precision = 18 if seen["digits"] + places < 18 else 38
        if seen["digits"] + places < precision:
            return (f"numeric({precision}, {places})",)
    if seen["double precision"] >= enough:
        return ("double precision",)
    if min(seen["date"], seen["dates"]) >= enough:
        return ("date",)
    if min(seen["timestamp"] + seen["timestamptz"], seen["dates"]) >= enough:
        if seen["timestamptz"] == 0:
            return "timestamp", "has no zone; if it is of one: data_type timestamptz and `timezone: Europe/Berlin`"
        if seen["timestamp"]:
            return "timestamptz", f"{seen['timestamp']:,} have no zone: say of which one they are with `timezone: UTC`"
        return ("timestamptz",)
    if seen["json"] == present:
        return ("json",)
    if seen["other_dates"] >= enough:
        return "varchar", "looks like a date, in a form of its own: the staging model can make 2025-11-16 of it"
    return ("varchar",)


def accepted(data_type: str, value: str) -> str:
    """Return the condition under which a text reads as a type, as macros/try_cast.sql has it."""
    decimal = re.fullmatch(r"numeric\((\d+), (\d+)\)", data_type)
    if decimal:
        places = int(decimal[2])
        form = f"[+-]?[0-9]{{1,{int(decimal[1]) - places - 1}}}([.][0-9]{{1,{places}}}0{{0,30}})?"
    elif data_type == "json":
        return f"json_valid({value})"
    elif data_type == "boolean":
        form = _FLAGS
    elif data_type in FORMS:
        form = FORMS[data_type]
    else:
        return "true"
    return f"(regexp_full_match({value}, '{form}') and try_cast({value} as {data_type}) is not null)"


def _counted(connection: Any, fields: Sequence[Field]) -> list[Field]:
    """Count the values that don't read as the type that a field has got."""
    read = [field for field in fields if field.present and not field.is_typed]
    if not read:
        return list(fields)
    misfits = ", ".join(
        f"count({name}) filter (not {accepted(field.data_type, name)})"
        for field in read
        for name in [f'"{field.name}"']
    )
    counts = dict(zip((field.name for field in read), _row(connection, f"select {misfits} from sampled"), strict=True))
    return [replace(field, unparsable=counts.get(field.name, 0)) for field in fields]


def _name_rank(name: str) -> int:
    """Tell how much a name sounds like a key; less is more."""
    words = name.split("_")
    return next(
        (
            rank
            for rank, good in enumerate(
                (name == "id", "id" in words, bool({"no", "number", "key", "code", "uuid"} & {*words}))
            )
            if good
        ),
        3,
    )


def _key(connection: Any, fields: Sequence[Field], count: int) -> tuple[tuple[str, ...], int]:
    """Return the fields that tell the records apart, one or two, and how many records they don't."""
    able = [field for field in fields if field.data_type in _KINDS_OF_KEY and field.present]
    # an entity has a key; what is no good one is said to be none
    able = able or sorted(fields, key=lambda field: -field.present)[:1]
    if not able:
        return (), count

    def rest(field: Field) -> int:
        return count - field.distinct

    ranked = sorted(range(len(able)), key=lambda at: (rest(able[at]) > 0, _name_rank(able[at].name), at))
    best = able[ranked[0]]
    if rest(best) == 0:
        return (best.name,), 0
    likely = sorted(able, key=lambda field: (_name_rank(field.name), rest(field)))[:10]
    pairs = list(combinations([field.name for field in able if field in likely], 2))
    apart = _apart(connection, pairs) if pairs else {}
    if pairs:
        whole = [pair for pair in pairs if apart[pair] == count]
        if whole:
            # `min` keeps the first of equals, which is that of the earlier columns
            return min(whole, key=lambda pair: sum(map(_name_rank, pair))), 0
    # a few that come twice are what duplicates look like
    nearly = [field for field in able if rest(field) <= count * TOLERATED]
    if nearly:
        best = min(nearly, key=lambda field: (_name_rank(field.name), rest(field)))
        return (best.name,), rest(best)
    # readings have no number: what measured, and when
    moments = [field.name for field in fields if field.data_type in ("timestamp", "timestamptz") and field.present]
    timed = [(field.name, moment) for field in likely for moment in moments if field.present]
    if timed:
        apart |= _apart(connection, timed)
        pairs += timed
    if pairs:
        pair = max(pairs, key=lambda pair: apart[pair])
        if apart[pair] >= count * (1 - TOLERATED):
            return pair, count - apart[pair]
    best = max(able, key=lambda field: field.distinct)
    return (best.name,), rest(best)


def _apart(connection: Any, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """Count the records that each pair tells apart; a record without one of its parts counts for none."""
    sums = ", ".join(
        f'count(distinct ("{one}", "{other}")) filter ("{one}" is not null and "{other}" is not null)'
        for one, other in pairs
    )
    return dict(zip(pairs, _row(connection, f"select {sums} from sampled"), strict=True))


def _event_time(fields: Sequence[Field]) -> str | None:
    """Return the field that most often lies in the day; a moment is better than a date."""
    able = [field for field in fields if field.in_day > 0.5]
    rank = ("timestamptz", "timestamp", "date")
    best = min(able, key=lambda field: (rank.index(field.data_type), -field.in_day), default=None)
    return best.name if best else None


def match_fields(guess: Guess, wanted: Sequence[str], event_time: str | None) -> dict[str, Field]:
    """Return which field of a feed each field of an entity is, as far as their names, or their part in it, tell."""
    by_name = {field.name: field for field in guess.fields}
    found = {name: by_name[name] for name in wanted if name in by_name}
    if event_time and event_time in wanted and guess.event_time and not {event_time, guess.event_time} & {*found}:
        found[event_time] = by_name[guess.event_time]
    free = [field for field in guess.fields if field not in found.values()]
    for name in wanted:
        # `country` of the mart is `address.country` of a document
        ends = [field for field in free if len(field.path) > 1 and column_names([field.path[-1]]) == [name]]
        if name not in found and len(ends) == 1:
            found[name] = ends[0]
    return {name: found[name] for name in wanted if name in found}
