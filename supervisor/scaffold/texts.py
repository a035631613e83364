"""The files of an entity, as texts: staging model, thin models of the steps, mart, and the contract with what was guessed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import yaml  # type: ignore[import-untyped]

from supervisor.common.errors import UsageError
from supervisor.common.text import plain_text
from supervisor.scaffold.guess import TOLERATED, Field, Guess

SOURCES = "models/staging/_staging__sources.yml"
PROJECT = "dbt_project.yml"
_ENTITY = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")

PUBLISHED = frozenset({"corrections", "lineage", "quality_scores", "quarantined_records"})
"""What the program publishes itself."""


def require_entity_name(name: str) -> None:
    """Refuse what can't be the name of an entity, and so of its table.

    Raises:
        UsageError: With a name that could.
    """
    if name in PUBLISHED:
        raise UsageError(f"'{name}' is a table of the program's own. Choose another: --entity {name}_of_mine")
    if not _ENTITY.fullmatch(name) or len(name) > 40:
        near = re.sub("[^a-z0-9]+", "_", name.lower()).strip("_")[:40]
        example = near if _ENTITY.fullmatch(near) else "orders"
        raise UsageError(
            f"'{name}' can't be an entity: its name becomes a table. Lower-case letters, digits and single underscores, "
            f"beginning with a letter, at most 40. Try: --entity {example}"
        )


@dataclass(frozen=True)
class Feed:
    """A raw table that an entity or a reference is made from."""

    source: str
    table: str
    day: str

    @property
    def raw_schema(self) -> str:
        """Where its records lie."""
        return f"raw_{self.source}"

    @property
    def model(self) -> str:
        """Name of its staging model."""
        return f"stg_{self.source}__{self.table}"


@dataclass(frozen=True)
class Item:
    """An item of a list in a YAML file that others write in too: what it is called, and what it says."""

    path: tuple[str, ...]
    name: str
    text: str


@dataclass
class Files:
    """What an entity, a feed or a reference needs; paths in the project.

    Attributes:
        whole: Files that are its own.
        items: Lists in files that it shares with others, and what it adds to them; such a file may not be there yet.
    """

    whole: dict[str, str] = field(default_factory=dict)
    items: list[tuple[str, Item]] = field(default_factory=list)


def staging_files(feed: Feed, sql: str, description: str) -> Files:
    """Return a staging model with its entries beside it."""
    model, folder = feed.model, f"models/staging/{feed.source}"
    table = f"name: {feed.table}\ndescription: As received. One row per record.\n"
    source = (
        f"name: {feed.raw_schema}\ndescription: What the source {feed.source} delivered, as received.\ntables:\n"
        f"  - name: {feed.table}\n    description: As received. One row per record.\n"
    )
    entry = f"name: {model}\ndescription: {description}\n"
    return Files(
        {f"{folder}/{model}.sql": sql},
        [
            (SOURCES, Item(("sources", feed.raw_schema, "tables"), feed.table, table)),
            (SOURCES, Item(("sources",), feed.raw_schema, source)),
            (f"{folder}/_{feed.source}__models.yml", Item(("models",), model, entry)),
        ],
    )


def feed_sql(feed: Feed, guess: Guess, mapping: Mapping[str, Field] | None = None, absent: Sequence[str] = ()) -> str:
    """Return the staging model of a feed.

    Args:
        mapping: Which of its fields each field of the entity is, where the entity is there already.
        absent: Fields of the entity that it seems not to have.
    """
    notes = [f"not mapped: {text}" for text in guess.left_out]
    if mapping is None:
        mapping = {one.name: one for one in guess.fields}
    taken = {one.name for one in mapping.values()}
    notes += [
        f"not mapped: {one.name}, no field of the entity is called so" for one in guess.fields if one.name not in taken
    ]
    notes += [
        f"guessed: {name} is {'.'.join(one.path) or one.column}" for name, one in mapping.items() if one.name != name
    ]
    notes += [f"not found: {name}; name its column here if it has one" for name in absent]
    columns = [f"    {_sql(name)}: {_sql(one.column)}," for name, one in mapping.items() if one.column]
    paths = [f"    {_sql(name)}: {_path(one.path)}," for name, one in mapping.items() if one.path]
    raw = f"'{feed.raw_schema}', '{feed.table}'"
    if guess.has_columns and guess.has_documents:
        notes.append("some records come as columns, others as JSON documents")
        call = [f"feed_mixed({raw}, {{", *columns, "}, {", *paths, "})"]
    elif guess.has_documents:
        call = [f"feed_documents({raw}, {{", *paths, "})"]
    else:
        call = [f"feed_records({raw}, {{", *columns, "})"]
    lines = [
        f"-- {feed.raw_schema}.{feed.table} as it arrives: this names its fields and does nothing else",
        *(f"-- {note}" for note in notes),
        "{{ " + call[0],
        *call[1:-1],
        call[-1] + " }}",
    ]
    return "\n".join(lines) + "\n"


def reference_sql(feed: Feed, guess: Guess) -> str:
    """Return the staging model of a reference: its newest snapshot up to the day."""
    relation = f"raw_{feed.table}"
    # a snapshot is of one file or one endpoint, so its rows come in one way
    is_document = not guess.has_columns
    fields = [one for one in guess.fields if (one.path if is_document else one.column)]
    names = ["payload"] if is_document else [one.column for one in fields]
    steps = [
        "-- the newest snapshot up to the day: when the source is down today, yesterday's rows still count",
        f"with {relation} as (",
        "",
        f"    {{{{ raw_snapshot('{feed.raw_schema}', '{feed.table}', [{', '.join(map(_sql, names))}]) }}}}",
        "",
        "),",
        "",
    ]
    if is_document:
        paths = [f"        {_sql(one.name)}: {_path(one.path)}," for one in fields]
        steps += [
            "parsed as (",
            "",
            f"    {{{{ json_fields('{relation}', 'payload', {{",
            *paths,
            "    }) }}",
            "",
            "),",
            "",
        ]
    columns = [f"        {_reference_column(one, is_document)} as {_quoted(one.name)}," for one in fields]
    steps += [
        "renamed as (",
        "",
        "    select distinct",
        *columns,
        "        load_date as snapshot_date",
        f"    from {'parsed' if is_document else relation}",
        "",
        ")",
        "",
        "select * from renamed",
        # nothing refers to what has no key, such as a line that could not be read
        f"where {' and '.join(f'{_quoted(name)} is not null' for name in guess.key)}",
    ]
    return "\n".join(steps) + "\n"


def _reference_column(one: Field, is_document: bool) -> str:
    name = _quoted(one.name if is_document else one.column)
    if one.is_typed:
        return f"cast({name} as {one.data_type})"
    text = f"clean_text('cast({name} as ' ~ dbt.type_string() ~ ')')"
    return f"{{{{ {text} }}}}" if one.data_type == "varchar" else f"{{{{ try_cast({text}, '{one.data_type}') }}}}"


def entity_files(entity: str, feeds: Sequence[str], contract: str) -> Files:
    """Return the models of an entity's steps, its mart and its contract."""
    listed = ", ".join(f"'{feed}'" for feed in feeds)
    return Files(
        {
            f"models/intermediate/int_{entity}_checked.sql": (
                "-- the order of the feeds decides who wins among duplicates; models that `references` names must be passed too\n"
                f"{{{{ checked_records('{entity}', feeds=[{listed}], references=[]) }}}}\n"
            ),
            f"models/intermediate/int_{entity}_publishable.sql": (
                f"{{{{ config(materialized='view') }}}}\n\n{{{{ publishable_records('{entity}') }}}}\n"
            ),
            f"models/marts/{entity}.sql": f"{{{{ published('{entity}') }}}}\n",
            f"models/marts/_{entity}__models.yml": contract,
        },
        [(PROJECT, Item(("vars", "entities"), entity, entity))],
    )


def contract_yml(entity: str, guess: Guess, feed: Feed, references: Mapping[str, str]) -> str:
    """Return the first guess of a contract.

    Args:
        references: Columns of reference models that a field may point at, `model.column` by the column's name.
    """
    looked_at = f"{guess.count:,} records of {feed.raw_schema}.{feed.table} of {feed.day}"
    lines = [
        f"# guessed from {looked_at}: correct what is wrong,",
        "# then take these comments out. What can be declared: docs/entities.md of Goalkeeper",
        *_head(entity),
        f"        key: [{', '.join(map(_yml, guess.key))}]   # {_said_of_key(guess)}",
    ]
    if guess.event_time:
        share = next(one.in_day for one in guess.fields if one.name == guess.event_time)
        lines.append(f"        event_time: {_yml(guess.event_time)}   # {share:.0%} of its values lie in the day")
    lines.append("    columns:")
    for one in guess.fields:
        lines += _column(one, guess, references.get(one.name))
    is_measured = any(_is_expected(one, guess) for one in guess.fields)
    return "\n".join([*lines, "", *_standard_columns(is_measured, guess.event_time is not None)]) + "\n"


def skeleton_yml(entity: str) -> str:
    """Return the contract of an entity of which nothing is known yet."""
    lines = [
        "# a first column; what else can be declared: docs/entities.md of Goalkeeper",
        *_head(entity),
        "        key: [id]",
        "    columns:",
        "      - name: id",
        "        data_type: varchar",
        "        description: What tells one from another.",
    ]
    return "\n".join([*lines, "", *_standard_columns(False, False)]) + "\n"


def _head(entity: str) -> list[str]:
    return [
        "version: 2",
        "",
        "models:",
        f"  - name: {_yml(entity)}",
        f"    description: Every record of {entity}, once. One row per key.",
        "    config:",
        "      contract: {enforced: true}",
        "      meta:",
    ]


def _said_of_key(guess: Guess) -> str:
    if not guess.repeated:
        return "every record has one, all differ"
    few = guess.repeated <= guess.count * TOLERATED
    counted = f"{guess.repeated:,} of {guess.count:,} records repeat one or have none"
    return counted if few else f"NO KEY FOUND, this comes nearest: {counted}"


def _is_expected(one: Field, guess: Guess) -> bool:
    """Whether a field that is missing is worth a flag: nearly every record has it, and the key is checked anyway."""
    return one.present > 0 and one.present >= guess.count * (1 - TOLERATED) and one.name not in guess.key


def _column(one: Field, guess: Guess, reference: str | None) -> list[str]:
    remarks = []
    if missing := guess.count - one.present:
        remarks.append(f"{missing:,} of {guess.count:,} missing")
    if one.unparsable:
        remarks.append(f"{one.unparsable:,} don't read as {one.data_type} and will be rejected")
    remarks += one.remarks
    lines = [
        *(f"      # {remark}" for remark in remarks),
        f"      - name: {_yml(one.name)}",
        f"        data_type: {one.data_type}",
        f"        description: {' '.join(one.name.split('_')).capitalize()}.",
    ]
    if _is_expected(one, guess):
        lines.append("        config: {meta: {missing: flag}}")
    if reference:
        lines.append(f"        # may refer: config meta `references: {reference}`, passed to int_*_checked as well")
    if one.values:
        lines.append(f"        # values: {_listed(one.values)}; `one_of: [...]` flags any other")
    return lines


def _standard_columns(is_measured: bool, is_dated: bool) -> list[str]:
    named = []
    if is_measured:
        named.append(
            "{name: is_complete, data_type: boolean, description: Whether nothing that is flagged is missing., "
            "config: {meta: {holds: completeness}}}"
        )
    if is_dated:
        named.append(
            "{name: is_late, data_type: boolean, description: Whether it happened before the day it was loaded with.}"
        )
    named += [
        "{name: source, data_type: varchar, description: Which source delivered it.}",
        "{name: load_date, data_type: date, description: The day that it was loaded with.}",
        '{name: source_object, data_type: varchar, description: "File, table or page that it came from."}',
        '{name: source_row, data_type: bigint, description: "Row in that object, from 1."}',
        "{name: run_id, data_type: varchar, description: The run that published it.}",
        "{name: ingested_at, data_type: timestamptz, description: When it was published.}",
    ]
    return ["      # filled by the pipeline", *(f"      - {text}" for text in named)]


def _listed(values: Sequence[str]) -> str:
    return ", ".join(plain_text(value, 40) for value in values)


def _yml(name: str) -> str:
    """Write a name so that YAML reads it as text: `no` and `on` are truth values otherwise."""
    return name if yaml.safe_load(name) == name else f'"{name}"'


def _sql(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _path(path: Sequence[str]) -> str:
    return f"[{', '.join(map(_sql, path))}]"


def _quoted(name: str) -> str:
    return f'"{name}"'
