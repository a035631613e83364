"""Edits of a person's own files as text: everything that is there stays as it is, comments and order included."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import yaml  # type: ignore[import-untyped]

Path = Sequence[str | int]
"""Keys and places that lead to a node of a YAML document."""


def insert_item(text: str, path: Path, item: str) -> str | None:
    """Return a YAML text with one more item at the end of a list; None when that can't be done for sure.

    Args:
        text: A YAML document.
        path: Where the list is.
        item: The item as YAML; several lines for a mapping, written as if they stood at the left margin.
    """
    try:
        node = _node_at(yaml.compose(text), path)
        wanted = yaml.safe_load(text)
    except yaml.YAMLError:
        return None
    if not isinstance(node, yaml.SequenceNode):
        return None
    _value_at(wanted, path).append(yaml.safe_load(item))
    changed = _into_flow(text, node, item) if node.flow_style else _into_block(text, node, item)
    try:
        # what was meant, and nothing else
        return changed if changed is not None and yaml.safe_load(changed) == wanted else None
    except yaml.YAMLError:
        return None


def _into_flow(text: str, node: Any, item: str) -> str | None:
    end = node.end_mark.index - 1
    if "\n" in item.strip() or text[end] != "]":
        return None
    return text[:end].rstrip(" ") + (", " if node.value else "") + item.strip() + text[end:]


def _into_block(text: str, node: Any, item: str) -> str:
    lines = text.splitlines(keepends=True)
    last = max(mark.line for mark in _ends(node))
    margin = " " * node.start_mark.column
    first, *rest = item.strip("\n").splitlines()
    added = [f"{margin}- {first}\n", *(f"{margin}  {line}\n" if line else "\n" for line in rest)]
    if not lines[last].endswith("\n"):
        lines[last] += "\n"
    return "".join([*lines[: last + 1], *added, *lines[last + 1 :]])


def _ends(node: Any) -> Iterator[Any]:
    """Yield where the texts of a node end; a list itself ends only where the next thing begins."""
    if isinstance(node, yaml.ScalarNode) or node.flow_style:
        # a text in block style ends at the beginning of the line that follows it
        yield node.end_mark if node.end_mark.column else yaml.Mark("", 0, node.end_mark.line - 1, 0, None, None)
        return
    for child in node.value:
        for one in child if isinstance(child, tuple) else (child,):
            yield from _ends(one)


def _node_at(node: Any, path: Path) -> Any:
    for step in path:
        if isinstance(node, yaml.MappingNode):
            node = next((value for key, value in node.value if key.value == step), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            node = node.value[step]
        else:
            return None
    return node


def _value_at(value: Any, path: Path) -> Any:
    for step in path:
        value = value[step]
    return value


def insert_feed(sql: str, feed: str) -> str | None:
    """Return the SQL of a checked model with one more feed at the end of its list; None when it has no such list."""
    found = re.search(r"(feeds\s*=\s*\[)([^\]]*)(\])", sql)
    if not found:
        return None
    listed = found[2].rstrip().rstrip(",")
    return f"{sql[: found.start()]}{found[1]}{listed}{', ' if listed.strip() else ''}'{feed}'{sql[found.end() - 1 :]}"
