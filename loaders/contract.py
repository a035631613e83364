"""Drift: which columns a source brings, what changed since its last good load, and what its contract says to that.

dlt's own `schema_contract` can't be used: it knows a schema from its state, and each run is a new pipeline without one. Tried with a
state, `freeze` broke the next run that was as before, and `discard_row` left no trace of a row.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from loaders.attempt import Extraction
from loaders.errors import SourceError

if TYPE_CHECKING:
    import pyarrow as pa

Mode = Literal["evolve", "freeze", "discard"]
Columns = Mapping[str, Mapping[str, Sequence[Any]]]
"""By table and column: its type, and the share of records that have a value of it."""
EVOLVE, FREEZE, DISCARD = "evolve", "freeze", "discard"
UNKNOWN_COLUMN = "unknown_column"
SAMPLE = 2_000
"""Records of a batch whose JSON is looked into; all where the contract is to discard."""
_MOST_COLUMNS = 2_000
# a field of JSON that most records do without may be absent for a day
_USUAL = 0.5
_JSON = "json "
_FIELDS = """
select each.key, each.type, count(*)
from (
    select payload from batch
    where payload is not null and reject_reason is null and json_valid(payload) and json_type(payload) = 'OBJECT'
) as records, json_each(records.payload) as each
where each.type <> 'NULL' group by all order by count(*) desc, each.key
"""
_UNKNOWN_FIELDS = """case when payload is not null and json_valid(payload) then
    nullif(array_to_string(list_filter(json_keys(payload), lambda key: not list_contains($known, key)), ', '), '')
end"""
_REJECTED = """
select
    case when names <> '' then coalesce(payload, cast(json_object({whole}) as varchar)) else payload end as payload,
    case when names <> '' then $reason else reject_reason end as reject_reason,
    case when names <> '' then 'not in the schema contract: ' || names else reject_detail end as reject_detail
from (select *, case when reject_reason is null then concat_ws(', ', {carried}) end as names from batch)
"""
_KINDS = {"VARCHAR": "string", "BOOLEAN": "boolean", "OBJECT": "object", "ARRAY": "list"}

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Contract:
    """What a source's columns may do, and which it can't do without: names, or `table.name` for one of several tables."""

    mode: Mode = "evolve"
    required: tuple[str, ...] = ()


@dataclass
class Watch:
    """Follows the tables of one try: notes their columns, and rejects what the contract discards.

    Args:
        contract: The source's.
        known: The columns of its last good load; empty for a source that has none.
    """

    contract: Contract
    known: Columns
    _records: Counter[str] = field(default_factory=Counter)
    _sampled: Counter[str] = field(default_factory=Counter)
    _filled: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    _fields: dict[str, dict[str, Counter[str]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(Counter))
    )
    _types: dict[str, dict[str, str]] = field(default_factory=dict)
    _references: frozenset[str] = frozenset()
    _engine: Any = None

    def over(self, extraction: Extraction) -> None:
        """Follow an extraction's tables from here on; what is discarded is not in its schemas any more."""
        import pyarrow as pa

        from loaders.formats.raw import FIXED, PAYLOAD

        self._references = extraction.reference
        fixed = {PAYLOAD, *(name for name, _ in FIXED)}
        for table, schema in extraction.schemas.items():
            self._types[table] = {column.name: _type_of(column) for column in schema if column.name not in fixed}
            if self._discards(table):
                unknown = {name for name in self._types[table] if name not in self.known[table]}
                extraction.schemas[table] = pa.schema([column for column in schema if column.name not in unknown])
        extraction.tables = self._followed(extraction.tables, extraction)

    def _discards(self, table: str) -> bool:
        return self.contract.mode == DISCARD and table in self.known

    def _followed(
        self, tables: Iterator[tuple[str, pa.Table]], extraction: Extraction
    ) -> Iterator[tuple[str, pa.Table]]:
        for name, batch in tables:
            self._note(name, batch)
            if self._discards(name):
                batch = self._without_unknown(name, batch, extraction.schemas[name])
            yield name, batch

    def _note(self, table: str, batch: pa.Table) -> None:
        import pyarrow.compute as pc

        self._records[table] += batch.num_rows
        for name in self._types[table]:
            self._filled[table][name] += pc.sum(_has_value(batch.column(name))).as_py() or 0
        if "payload" not in batch.column_names or batch.column("payload").null_count == batch.num_rows:
            return
        import numpy as np

        # evenly over the batch, which may hold many small files
        step = 1 if self.contract.mode == DISCARD else -(-batch.num_rows // SAMPLE)
        sample = batch.select(["payload", "reject_reason"]).take(np.arange(0, batch.num_rows, step))
        for key, kind, count in self._query(sample, _FIELDS).fetchall():
            if key in self._fields[table] or len(self._fields[table]) < _MOST_COLUMNS:
                self._fields[table][key][_JSON + _KINDS.get(kind, "number")] += count
        self._sampled[table] += sample.num_rows - sample.column("payload").null_count

    def _query(self, batch: pa.Table, sql: str, **values: Any) -> Any:
        """Return what SQL gives over a batch, in the order of its rows."""
        if self._engine is None:
            from loaders.imports import import_alone

            import_alone("duckdb")
            import duckdb

            self._engine = duckdb.connect(config={"threads": 1})
        self._engine.register("batch", batch)
        return self._engine.sql(sql, params=values or None)

    def _without_unknown(self, table: str, batch: pa.Table, schema: pa.Schema) -> pa.Table:
        """Return a batch with the table's known columns; records with a value of another are rejected, whole in their payload."""
        known = batch.select(schema.names)
        if table in self._references:
            return known
        unknown = [name for name in batch.column_names if name not in schema.names]
        # names as `column_names` makes them: nothing in them needs escaping
        carried = [f"""case when "{name}" <> '' then '{name}' end""" for name in unknown]
        whole = ", ".join(f"""'{name}', "{name}\"""" for name in self._types[table])
        rejected = self._query(
            batch,
            _REJECTED.format(carried=", ".join([*carried, _UNKNOWN_FIELDS]), whole=whole),
            known=list(self.known[table]),
            reason=UNKNOWN_COLUMN,
        ).to_arrow_table()
        for name in rejected.column_names:
            at = schema.get_field_index(name)
            known = known.set_column(at, schema.field(at), rejected.column(name).cast(schema.field(at).type))
        return known

    def columns(self) -> dict[str, dict[str, list[Any]]]:
        """Return the columns that are loaded, and those known from before that some records may do without."""
        return {
            table: {
                name: traits
                for name, traits in columns.items()
                if not self._discards(table) or name in self.known[table]
            }
            for table, columns in self._arrived().items()
        }

    def _arrived(self) -> dict[str, dict[str, list[Any]]]:
        found: dict[str, dict[str, list[Any]]] = {}
        for table, types in self._types.items():
            records, sampled = self._records[table], self._sampled[table]
            if not records:
                # nothing can be told of a day without records
                found[table] = {name: list(traits) for name, traits in self.known.get(table, {}).items()}
                continue
            columns: dict[str, list[Any]] = {
                name: [kind, round(self._filled[table][name] / records, 4)] for name, kind in types.items()
            }
            for name, kinds in self._fields[table].items():
                kind, _ = kinds.most_common(1)[0]
                columns[name] = [kind, round(min(1.0, kinds.total() / max(1, sampled)), 4)]
            kept = {
                name: [traits[0], 0.0]
                for name, traits in self.known.get(table, {}).items()
                if name not in columns and str(traits[0]).startswith(_JSON) and traits[1] < _USUAL
            }
            found[table] = columns | kept
        return found

    def drift(self) -> list[dict[str, str]]:
        """Return what changed since the last good load: `table`, `column`, `change` (new, gone, type), `before`, `after`."""
        found = []
        now = self._arrived()
        for table, known in self.known.items():
            if table not in now or not self._records[table]:
                continue
            for name, (kind, share) in now[table].items():
                before = known.get(name)
                if before is None:
                    found.append(_change(table, name, "new", "", kind))
                elif share == 0 and before[1] >= _USUAL:
                    found.append(_change(table, name, "gone", before[0], ""))
                elif share and before[0] != kind:
                    found.append(_change(table, name, "type", before[0], kind))
            found += [_change(table, name, "gone", known[name][0], "") for name in known if name not in now[table]]
        return found

    def check(self) -> None:
        """Raise when a column that the source can't do without did not come, or its contract is frozen and something changed.

        Raises:
            SourceError: Naming the columns.
        """
        now = self._arrived()
        absent = []
        for name in self.contract.required:
            table, _, column = name.rpartition(".")
            tables = [table] if table in now else [one for one in now if one not in self._references]
            column = column if table in now else name
            # of a table without records nothing can be told
            absent += [
                f"{one}.{column}" for one in tables if self._records[one] and not now[one].get(column, ("", 0))[1]
            ]
        if absent:
            text = f"required columns did not come: {', '.join(absent)} (required_columns names them)"
            raise SourceError(text, code="required columns", transient=False)
        if self.contract.mode == FREEZE and (changes := self.drift()):
            words = ", ".join(map(describe, changes[:10]))
            text = (
                f"schema_contract is freeze, and since its last good load: {words}. To take this in, load the day once with "
                "schema_contract = evolve"
            )
            raise SourceError(text, code="schema contract", transient=False)


def describe(change: Mapping[str, str]) -> str:
    """Return a change of a column for people."""
    name = f"{change['table']}.{change['column']}"
    match change["change"]:
        case "new":
            return f"{name} is new ({change['after']})"
        case "gone":
            return f"{name} is gone"
        case _:
            return f"{name} is {change['after']}, was {change['before']}"


def _change(table: str, column: str, change: str, before: str, after: str) -> dict[str, str]:
    return {"table": table, "column": column, "change": change, "before": before, "after": after}


def _has_value(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return for each row whether there is a value; an empty text, as CSV has it for nothing, is none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_string(column.type):
        return pc.fill_null(pc.not_equal(pc.binary_length(column), 0), False)
    return pc.is_valid(column)


def _type_of(column: pa.Field) -> str:
    """Return a column's type at its source, where its kind of source says so."""
    told: bytes | None = (column.metadata or {}).get(b"type")
    return told.decode() if told else str(column.type)
