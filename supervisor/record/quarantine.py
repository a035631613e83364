"""Reading the quarantine: which records of a day can't be published, why, and what they held."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from supervisor.common.command_line import command_line
from supervisor.common.errors import UsageError
from supervisor.record.history import newest_run, read_runs
from supervisor.record.ledger import table_exists
from supervisor.warehouse.base import Session

PUBLISHED = "quarantine.quarantined_records"
HELD_BACK = "intermediate.quarantined_records__day"
FIELDS = (
    "load_date",
    "entity",
    "source",
    "source_object",
    "source_row",
    "record_key",
    "reasons",
    "status",
    "run_id",
    "replayed_by_run",
    "payload",
)
_PAGE_ROWS = 5_000
# comparing rows, (a, b) > (c, d), is not possible with every engine's optimizer
_BEYOND = "(source > ? or (source = ? and (source_object > ? or (source_object = ? and source_row > ?))))"


@dataclass(frozen=True)
class Shelf:
    """Where the rejected records of a day lie.

    Attributes:
        relation: Table, or the view of a build that was held back.
        run_id: The run that put them there.
        note: What should be known of it, "" for nothing.
        has_history: Whether the relation knows of replays; one of an older release does not.
        options: Options that the run was given and that the next command repeats.
    """

    day: date
    relation: str
    run_id: str
    note: str = ""
    has_history: bool = True
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_published(self) -> bool:
        """Whether readers see the day that these records were rejected from."""
        return self.relation == PUBLISHED

    @property
    def columns(self) -> str:
        """The columns of `FIELDS`, as a select list."""
        absent = "cast(null as varchar(64)) as replayed_by_run"
        return ", ".join(absent if name == "replayed_by_run" and not self.has_history else name for name in FIELDS)


@dataclass(frozen=True)
class Group:
    """The records of a source that have a reason; a record with several reasons is in several groups.

    Attributes:
        open: Records that can't be published.
        replayed: Records that could not once and passed later.
        example: The first of them: {"source_object", "source_row", "payload"}.
    """

    source: str
    reason: str
    open: int
    replayed: int
    example: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return dict(self.__dict__)


@dataclass(frozen=True)
class Choice:
    """Which records of a shelf are meant; None for all, `history` for those replayed as well."""

    source: str | None = None
    reason: str | None = None
    history: bool = False


def find_shelf(session: Session, day: date, target: str, *, held_back: bool = False) -> Shelf:
    """Find where the rejected records of a day lie.

    Args:
        session: The warehouse.
        day: Which day.
        target: The warehouse's target, for the next command.
        held_back: Those of the last build that was not published, even where an earlier one was.

    Raises:
        UsageError: No run has published the day, and no build of it is left.
    """
    runs = read_runs(session, day, day)
    published = [run for run in runs if run.has_published]
    last = newest_run(session, day)
    build_run = _build_run(session, day)
    if published and not held_back:
        note = ""
        if last is not None and not last.has_published and build_run == last.run_id:
            note = f"run {last.run_id} has {last.status.lower()} since; what it rejected: add --held-back"
        return Shelf(
            day,
            PUBLISHED,
            published[-1].run_id,
            note,
            _has_history(session, PUBLISHED),
            published[-1].options,
        )
    if build_run is not None:
        note = f"not published: as run {build_run} built the day and held it back"
        options: Mapping[str, str] = next((run.options for run in runs if run.run_id == build_run), {})
        return Shelf(day, HELD_BACK, build_run, note, _has_history(session, HELD_BACK), options)
    if last is None:
        raise UsageError(f"{day} was never run, so nothing of it is in quarantine. Run: {command_line(day, target)}")
    what = f"no build of {day} is held back" if published else f"nothing of {day} was published, and its build is gone"
    raise UsageError(f"{what}. See what happened: {command_line(None, target, f'explain {last.run_id}')}")


def _build_run(session: Session, day: date) -> str | None:
    """The run whose build of the day was not published, if dbt's views still hold it."""
    if not table_exists(session, "intermediate", "quarantined_records__day"):
        return None
    rows = session.query(f"select run_id from {HELD_BACK} where load_date = ? and status = 'open' limit 1", (day,))
    if not rows:
        return None
    run_id = str(rows[0]["run_id"])
    return None if any(run.run_id == run_id and run.has_published for run in read_runs(session, day, day)) else run_id


def _has_history(session: Session, relation: str) -> bool:
    schema, table = relation.split(".")
    return bool(
        session.query(
            "select 1 as found from information_schema.columns where table_schema = ? and table_name = ? "
            "and column_name = 'replayed_by_run'",
            (schema, table),
        )
    )


def read_groups(session: Session, shelf: Shelf, choice: Choice) -> list[Group]:
    """Count by source and reason, the largest group first.

    Raises:
        UsageError: The source or the reason that is asked for is not there; names those that are.
    """
    rows = session.query(
        "select source, reasons, status, source_object, source_row, payload, group_size from ("
        "select *, count(*) over (partition by source, reasons, status) as group_size, "
        "row_number() over (partition by source, reasons, status order by source_object, source_row) as place "
        f"from {shelf.relation} where load_date = ?) as ranked where place = 1 order by status, source, reasons",
        (shelf.day,),
    )
    counts: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: {"open": 0, "replayed": 0})
    examples: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        for reason in row["reasons"].split(","):
            key = (row["source"], reason)
            counts[key][row["status"]] += row["group_size"]
            examples.setdefault(key, {name: row[name] for name in ("source_object", "source_row", "payload")})
    groups = [Group(*key, count["open"], count["replayed"], examples[key]) for key, count in counts.items()]
    _check("source", choice.source, sorted({group.source for group in groups}), shelf.day)
    _check("reason", choice.reason, sorted({group.reason for group in groups}), shelf.day)
    chosen = [
        group for group in groups if choice.source in (None, group.source) and choice.reason in (None, group.reason)
    ]
    return sorted(chosen, key=lambda group: (-group.open, -group.replayed, group.source, group.reason))


def _check(what: str, value: str | None, known: Sequence[str], day: date) -> None:
    if value is not None and known and value not in known:
        raise UsageError(f"no quarantined record of {day} has the {what} '{value}'. There are: {', '.join(known)}")


def count_records(session: Session, shelf: Shelf, choice: Choice) -> int:
    """Count the chosen records."""
    condition, parameters = _condition(shelf, choice)
    rows = session.query(f"select count(*) as found from {shelf.relation} where {condition}", parameters)
    return int(rows[0]["found"])


def read_records(session: Session, shelf: Shelf, choice: Choice, limit: int | None = None) -> Iterator[dict[str, Any]]:
    """Yield the chosen records whole, by source, object and row; a few thousand are in memory at a time.

    Args:
        session: The warehouse.
        shelf: Where they lie.
        choice: Which are meant.
        limit: At most so many.
    """
    condition, parameters = _condition(shelf, choice)
    order = "source, source_object, source_row"
    if limit is not None:
        yield from session.query(
            f"select {shelf.columns} from {shelf.relation} where {condition} order by {order} limit ?",
            (*parameters, limit),
        )
        return
    # pages end at keys and not at counts: whatever shares a key is on one page, and none is read twice
    ends = session.query(
        f"select {order} from (select {order}, row_number() over (order by {order}) as place "
        f"from {shelf.relation} where {condition}) as ranked where mod(place, ?) = 0 order by place",
        (*parameters, _PAGE_ROWS),
    )
    keys = list(dict.fromkeys((end["source"], end["source_object"], end["source_row"]) for end in ends))
    for after, until in zip([None, *keys], [*keys, None], strict=True):
        page, bounds = condition, list(parameters)
        if after is not None:
            page += f" and {_BEYOND}"
            bounds += _twice(after)
        if until is not None:
            page += f" and not {_BEYOND}"
            bounds += _twice(until)
        yield from session.query(f"select {shelf.columns} from {shelf.relation} where {page} order by {order}", bounds)


def _twice(key: tuple[Any, Any, Any]) -> list[Any]:
    source, source_object, source_row = key
    return [source, source, source_object, source_object, source_row]


def _condition(shelf: Shelf, choice: Choice) -> tuple[str, list[Any]]:
    condition = "load_date = ?"
    parameters: list[Any] = [shelf.day]
    if not choice.history:
        condition += " and status = 'open'"
    if choice.source is not None:
        condition += " and source = ?"
        parameters.append(choice.source)
    if choice.reason is not None:
        condition += " and position(? in ',' || reasons || ',') > 0"
        parameters.append(f",{choice.reason},")
    return condition, parameters
