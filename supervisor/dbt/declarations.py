"""What the project's files declare, read before dbt: mistakes are said at once, and the goal is held to names that exist.

dbt's parse accepts any key under `meta`, so a typo would be a check that never runs. The same rules are in
macros/entities/declaration.sql, for whoever runs dbt alone.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from supervisor.common.errors import UsageError
from supervisor.dbt.project import read_project_vars

DIMENSIONS = ("completeness", "accuracy", "consistency")
_ENTITY_KEYS = ("key", "event_time", "versions", "lookback_days", "checks")
_CHECKS = {
    "missing": ("default",),
    "references": ("to",),
    "between": ("from", "by", "low", "high"),
    "one_of": ("values",),
    "matches": ("pattern",),
    "expression": ("expression",),
}
_OF_CHECKS = ("name", "reason", "dimension", "fails", "description")
_FIELD_KEYS = (*_CHECKS, "case", "timezone", "outlier", "corrections", "dimension", "label", "holds")
_OUTLIER_KEYS = ("by", "deviations", "at_least")
_CORRECTION_KEYS = ("rule_id", "tier", "when", "set", "reason")
_CALL = re.compile(r"\(\s*['\"](raw_\w+)['\"]\s*,\s*['\"](\w+)['\"]")
_COMMENTS = re.compile(r"\{#.*?#\}|--[^\n]*", re.DOTALL)


@dataclass(frozen=True)
class Declarations:
    """What a project declares.

    Attributes:
        entities: The dimensions that are measured of each entity.
        tables_read: Raw tables that a model reads, as (schema, table).
        tables_unmapped: Raw tables that are declared to be read by none.
    """

    entities: Mapping[str, tuple[str, ...]]
    tables_read: frozenset[tuple[str, str]]
    tables_unmapped: frozenset[tuple[str, str]]


def check_tables(declared: Declarations, tables: Iterable[tuple[str, str]]) -> None:
    """Make sure that a model reads every table that is loaded, or that somebody has said that none does.

    Args:
        declared: What the project declares.
        tables: As (source, table).

    Raises:
        UsageError: The records of a table would vanish; names each, and what to do.
    """
    known = declared.tables_read | declared.tables_unmapped
    lost = [(source, table) for source, table in tables if (f"raw_{source}", table) not in known]
    if lost:
        source, table = lost[0]
        raise UsageError(
            "\n".join(
                f"source '{source}': no model reads raw_{source}.{table}, so its records would vanish"
                for source, table in lost
            )
            + f"\nRead it in a staging model: python orchestrate.py map {source} --table {table}"
            + "\nOr say that nothing reads it, in models/staging/_staging__sources.yml: "
            + f"{{name: {table}, config: {{meta: {{unmapped: true}}}}}}"
        )


def read_declarations(project_dir: Path) -> Declarations:
    """Read the yml and the SQL of a dbt project's models.

    Raises:
        UsageError: A file can't be read, or says something that is not understood; names all that are wrong.
    """
    listed = read_project_vars(project_dir).get("entities") or []
    names = [str(name) for name in listed] if isinstance(listed, list) else []
    marts: dict[str, Mapping[str, Any]] = {}
    unmapped: set[tuple[str, str]] = set()
    problems: list[str] = []
    for path, content in yml_files(project_dir / "models"):
        for model in content.get("models") or []:
            if "key" in _meta(model):
                marts[model["name"]] = model
                problems += [f"{path}: {problem}" for problem in _problems(model)]
        for source in content.get("sources") or []:
            schema = source.get("schema", source["name"])
            unmapped |= {
                (schema, table.get("identifier", table["name"]))
                for table in source.get("tables") or []
                if _meta(table).get("unmapped")
            }
    for name in names:
        if name not in marts:
            problems.append(
                f"dbt_project.yml: vars.entities names '{name}', but no model of this name declares a key under config.meta"
                + _nearest(name, marts)
            )
    for name in marts:
        if name not in names:
            problems.append(f"dbt_project.yml: the mart '{name}' declares a key, but vars.entities does not list it")
    if problems:
        raise UsageError("\n".join([*problems, "What can be declared: docs/entities.md"]))
    return Declarations(
        {name: _dimensions(marts[name]) for name in names},
        frozenset(_tables_read(project_dir / "models")),
        frozenset(unmapped),
    )


def yml_files(folder: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the yml files below a folder with what they hold; raises `UsageError` for one that can't be read."""
    for path in sorted([*folder.rglob("*.yml"), *folder.rglob("*.yaml")]):
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise UsageError(f"{path} can't be read: {error}. Correct it, then look with: dbt parse") from error
        if isinstance(content, dict):
            yield path.relative_to(folder.parent).as_posix(), content


def _tables_read(folder: Path) -> Iterator[tuple[str, str]]:
    for path in folder.rglob("*.sql"):
        yield from _CALL.findall(_COMMENTS.sub("", path.read_text(encoding="utf-8", errors="replace")))


def _meta(node: Mapping[str, Any]) -> Mapping[str, Any]:
    meta = (node.get("config") or {}).get("meta") or node.get("meta") or {}
    return meta if isinstance(meta, dict) else {}


def _problems(mart: Mapping[str, Any]) -> Iterator[str]:
    name, meta = str(mart["name"]), _meta(mart)
    yield from _unknown_keys(name, meta, _ENTITY_KEYS)
    columns = {str(column.get("name")): column for column in mart.get("columns") or []}
    for field in meta["key"] if isinstance(meta["key"], list) else [meta["key"]]:
        if field not in columns:
            yield f"{name}: the key names '{field}', which is no column" + _nearest(str(field), columns)
    for field in meta["key"] if isinstance(meta["key"], list) else []:
        if field in columns and _meta(columns[field]).get("missing", "reject") != "reject":
            yield f"{name}.{field} is part of the key, so a record without it is rejected: missing must be reject, or left out"
    for field, column in columns.items():
        where, declared = f"{name}.{field}", _meta(column)
        yield from _unknown_keys(where, declared, _FIELD_KEYS)
        if "__" in field:
            yield f"{where}: two underscores are for columns that the pipeline adds; rename the field"
        for check, own in _CHECKS.items():
            if isinstance(declared.get(check), dict):
                yield from _unknown_keys(f"{where} {check}", declared[check], (*own, *_OF_CHECKS))
        if isinstance(declared.get("outlier"), dict):
            yield from _unknown_keys(f"{where} outlier", declared["outlier"], _OUTLIER_KEYS)
        for rule in declared.get("corrections") or []:
            yield from _unknown_keys(f"{where} corrections", rule, _CORRECTION_KEYS)


def _unknown_keys(where: str, stated: Mapping[str, Any], known: Iterable[str]) -> Iterator[str]:
    for key in stated:
        if key not in tuple(known):
            yield f"{where}: '{key}' is no key of a declaration{_nearest(str(key), known)}; known: {', '.join(known)}"


def _nearest(word: str, known: Iterable[str]) -> str:
    hits = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; the nearest is '{hits[0]}'" if hits else ""


def _dimensions(mart: Mapping[str, Any]) -> tuple[str, ...]:
    """The dimensions that an entity is measured in: those that its checks count against."""
    found: list[str] = []
    natural = {"missing": "completeness", "references": "consistency"}
    usual = {"missing": "accept", "references": "reject"}
    key = _meta(mart)["key"]
    for column in mart.get("columns") or []:
        meta = dict(_meta(column))
        if column["name"] in key:
            meta.setdefault("missing", "reject")
        for check in _CHECKS:
            stated = meta.get(check)
            details = stated if isinstance(stated, dict) else {}
            fails = details.get("fails", stated if check == "missing" else usual.get(check, "flag"))
            dimension = details.get("dimension") or meta.get("dimension") or natural.get(check, "accuracy")
            # a record that is rejected counts in the failure rate, so a dimension of the project's own needs one that flags
            if stated is None or "default" in details or fails not in ("flag", "reject"):
                continue
            if fails == "flag" or dimension in DIMENSIONS:
                found.append(dimension)
    found += [check.get("dimension", "accuracy") for check in _meta(mart).get("checks") or []]
    return tuple(dict.fromkeys([*(name for name in DIMENSIONS if name in found), *found]))
