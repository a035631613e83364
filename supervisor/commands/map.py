"""`map`: looks at what a source holds and writes the files that map it, as a first guess to be edited."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from loaders.config import read_sources
from loaders.errors import SourceError
from loaders.failures import classify
from loaders.redact import redact
from supervisor.commands.answer import Place, answer, say_note
from supervisor.commands.init import is_project
from supervisor.common.command_line import PROGRAM, command_line
from supervisor.common.errors import UsageError
from supervisor.common.files import write_file
from supervisor.common.request import Sandbox
from supervisor.common.text import plain_text
from supervisor.dbt.declarations import yml_files
from supervisor.dbt.project import read_project_vars
from supervisor.scaffold.edits import insert_feed
from supervisor.scaffold.guess import STANDARD_COLUMNS, Field, Guess, make_guess, match_fields
from supervisor.scaffold.sample import take_samples
from supervisor.scaffold.texts import (
    Feed,
    Files,
    contract_yml,
    entity_files,
    feed_sql,
    reference_sql,
    require_entity_name,
    staging_files,
)
from supervisor.scaffold.write import Outcome, put_files
from supervisor.show.terminal import Column, Terminal

_MEMORY = "1GB"


@dataclass(frozen=True)
class Asked:
    """What is to be mapped: a source, or one table of it, to an entity or as a reference."""

    source: str
    table: str | None
    entity: str | None
    is_reference: bool
    day: date


@dataclass(frozen=True)
class Mapped:
    """A table that was mapped: what it seems to hold, what it became and what came of the files."""

    guess: Guess
    entity: str | None
    is_new: bool
    outcomes: tuple[Outcome, ...]


def map_source(project: Path, asked: Asked) -> list[Mapped]:
    """Look at a source and write what maps it.

    Raises:
        UsageError: Nothing can be mapped, with the reason and the next command.
        SourceError: The source's day can't be read.
    """
    if asked.entity is not None:
        require_entity_name(asked.entity)
    (source,) = read_sources([asked.source])
    mapped = []
    with tempfile.TemporaryDirectory(prefix="goalkeeper-map-") as name:
        folder = Path(name)
        with _throwaway_warehouse(folder) as connection:
            samples = take_samples(source, asked.day, connection, folder / "landing", asked.table)
            records = [sample for sample in samples if not sample.is_reference]
            if asked.entity is not None and len(samples) > 1:
                if len(records) != 1:
                    raise UsageError(
                        f"source '{source.name}' has {len(samples)} tables: {', '.join(one.table for one in samples)}. "
                        f"Say which one: {PROGRAM} map {source.name} --table {samples[0].table} --entity {asked.entity}"
                    )
                samples = records
            for sample in samples:
                guess = make_guess(connection, sample, asked.day)
                if not guess.fields or not guess.count:
                    raise UsageError(
                        f"{sample.table}: no record of {asked.day} that can be read, so nothing to guess from. "
                        f"Try another day: {PROGRAM} map {source.name} --date YYYY-MM-DD"
                    )
                mapped.append(_map_table(project, asked, guess))
    return mapped


@contextmanager
def _throwaway_warehouse(folder: Path) -> Iterator[Any]:
    """Open a DuckDB file in a folder that goes: a large sample spills instead of filling the memory."""
    import duckdb

    with duckdb.connect(str(folder / "sample.duckdb")) as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute("set memory_limit = ?", [os.environ.get("GOALKEEPER_MEMORY") or _MEMORY])
        yield connection


def _map_table(project: Path, asked: Asked, guess: Guess) -> Mapped:
    sample = guess.sample
    feed = Feed(asked.source, sample.table, asked.day.isoformat())
    if asked.is_reference or (sample.is_reference and asked.entity is None):
        sql = reference_sql(feed, guess)
        described = f"The newest {sample.table} of {asked.source}, up to the day. One row per record."
        return Mapped(guess, None, True, tuple(put_files(project, staging_files(feed, sql, described))))
    entity = asked.entity or sample.table
    require_entity_name(entity)
    described = f"{sample.table.capitalize()} of {asked.source}, with its fields named. One row per record."
    declared = _declared(project, entity)
    if declared is not None:
        mapping = match_fields(guess, declared.fields, declared.event_time)
        absent = [name for name in declared.fields if name not in mapping]
        outcomes = put_files(project, staging_files(feed, feed_sql(feed, guess, mapping, absent), described))
        outcomes.append(_add_feed(project, entity, feed.model))
        return Mapped(guess, entity, False, tuple(outcomes))
    files = staging_files(feed, feed_sql(feed, guess), described)
    contract = contract_yml(entity, guess, feed, _references(project))
    own = entity_files(entity, [feed.model], contract)
    together = Files({**files.whole, **own.whole}, files.items + own.items)
    return Mapped(guess, entity, True, tuple(put_files(project, together)))


@dataclass(frozen=True)
class _Declared:
    fields: tuple[str, ...]
    event_time: str | None


def _declared(project: Path, entity: str) -> _Declared | None:
    """Return what the contract of an entity says, without the columns that the pipeline fills; None without one."""
    for model in (model for _, content in yml_files(project / "models") for model in content.get("models") or ()):
        meta = (model.get("config") or {}).get("meta") or {}
        if model.get("name") == entity and meta.get("key"):
            fields = [
                one["name"]
                for one in model.get("columns") or ()
                if one["name"] not in STANDARD_COLUMNS and "holds" not in ((one.get("config") or {}).get("meta") or {})
            ]
            return _Declared(tuple(fields), meta.get("event_time"))
    return None


def _references(project: Path) -> dict[str, str]:
    """Return what fields may refer to: columns of the reference models that are called like keys, by their names."""
    found: dict[str, str] = {}
    for path in sorted((project / "models" / "staging").rglob("stg_*.sql")):
        sql = path.read_text(encoding="utf-8", errors="replace")
        if "raw_snapshot(" in sql:
            for name in re.findall(r'as "?(\w+_(?:id|code|key|no|number))"?\b', sql):
                found.setdefault(name, f"{path.stem}.{name}")
    return found


def _add_feed(project: Path, entity: str, model: str) -> Outcome:
    path = f"models/intermediate/int_{entity}_checked.sql"
    by_hand = Outcome(path, "by hand", f"Add '{model}' to the feeds of {entity}.")
    try:
        sql = (project / path).read_text(encoding="utf-8")
    except OSError:
        return by_hand
    if re.search(rf"['\"]{re.escape(model)}['\"]", sql):
        return Outcome(path, "same")
    changed = insert_feed(sql, model)
    if changed is None:
        return by_hand
    write_file(project / path, changed)
    return Outcome(path, "added", f"feeds: '{model}'")


def show_mapped(mapped: Sequence[Mapped], asked: Asked, has_entities: bool, out: Terminal) -> None:
    """Write what was guessed, what came of the files, and what comes next: a project without an entity has no day to run."""
    for one in mapped:
        _show_guess(one, asked, out)
        _show_files(one.outcomes, out)
    entities = [one.entity for one in mapped if one.entity and one.is_new]
    for entity in entities:
        out.line(f"A guess, to be looked at: models/marts/_{entity}__models.yml")
    out.line("Next:")
    out.command(command_line(asked.day, "", "" if has_entities else "map SOURCE"))


def _show_guess(one: Mapped, asked: Asked, out: Terminal) -> None:
    guess, sample = one.guess, one.guess.sample
    extent = f"all {guess.count:,}" if sample.is_whole else f"the first {guess.count:,}"
    what = "reference" if one.entity is None else f"entity {one.entity}" + ("" if one.is_new else ", one more feed")
    out.line(f"{asked.source}.{sample.table}, {asked.day}: guessed from {extent} records -> {what}")
    if sample.rejected:
        out.line(f"{sample.rejected:,} more can't be read at all.", "yellow")
    out.table(
        [Column("Field", keep=True), Column("Type", keep=True), Column("Missing", "right", keep=True), Column("Seen")],
        [
            (field.name, field.data_type, f"{1 - field.present / guess.count:.1%}", _seen(field))
            for field in guess.fields
        ],
    )
    for field in guess.fields:
        for remark in field.remarks:
            out.line(f"{field.name}: {remark}", "yellow")
    if one.entity is not None and one.is_new:
        repeated = (
            f" ({guess.repeated:,} records repeat one or have none)" if guess.repeated else " (unique, never missing)"
        )
        out.line(f"Key: {', '.join(guess.key)}{repeated}", "yellow" if guess.repeated else "")
        out.line(f"Event time: {guess.event_time or 'none found that lies in the day'}")
    if one.entity is None and not sample.is_reference:
        out.line(
            f"The source does not call it a reference: say `reference = true` for {sample.table} in .dlt/config.toml, "
            "or its records count as records of the day.",
            "yellow",
        )
    for text in guess.left_out:
        out.line(f"Not mapped: {text}", "yellow")


def _seen(field: Field) -> str:
    said = [f"{field.unparsable:,} unparsable"] if field.unparsable else []
    if field.values:
        said.append(", ".join(plain_text(value, 20) for value in field.values))
    elif field.present:
        said.append(f"{field.distinct:,} different")
    return "; ".join(said)


def _show_files(outcomes: Sequence[Outcome], out: Terminal) -> None:
    words = {"written": "written", "added": "added to", "kept": "kept", "by hand": "by hand"}
    out.line()
    for one in outcomes:
        if one.state in words:
            out.line(f"{words[one.state]:8}  {one.path}")
    for one in outcomes:
        if one.state in ("kept", "by hand"):
            said = "is there and differs; nothing was changed" if one.state == "kept" else "can't be edited for sure"
            out.line()
            out.line(f"{one.path} {said}:", "yellow")
            for line in one.hint.splitlines():
                out.command(line)
    out.line()


def map_command(place: Place, asked: Asked, sandbox: Sandbox) -> int:
    """Map a source; exit code 1 when it can't be read."""

    def work(out: Terminal) -> int:
        if not is_project(place.work_dir):
            raise UsageError(f"this folder is no project of yours yet. Make it one: {PROGRAM} init .")
        with sandbox(asked.day) as notes:
            for line in notes:
                say_note(line)
            try:
                mapped = map_source(place.project_dir, asked)
            except SourceError as error:
                told = classify(error, asked.source)
                say_note(redact(f"source '{asked.source}', {asked.day}: {told.detail or told}"))
                say_note(f"Look closer: {PROGRAM} check --date {asked.day}")
                return 1
        show_mapped(mapped, asked, bool(read_project_vars(place.project_dir).get("entities")), out)
        return 0

    return answer(work)
