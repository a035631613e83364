"""The outline of a goal file: its sections and their items, out of plain Markdown.

Only what the goal needs of Markdown: headings, bullets (also nested and numbered), continuation
lines, emphasis, HTML comments and code fences. The last two hold nothing that is checked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from supervisor.goal.criteria import Problem
from supervisor.goal.grammar import nearest

SECTIONS = ("Objective", "Success Criteria", "Constraints", "Context")

_HEADING = re.compile(r" {0,3}(#{1,6})(?:\s+(.*?))?(?:\s+#+)?\s*")
_BULLET = re.compile(r"(\s*)(?:[-*+]|[0-9]{1,9}[.)])(?:\s+(.*))?")
_FENCE = re.compile(r"\s*(`{3,}|~{3,})([^`]*)")
_RULE = re.compile(r" {0,3}([-*_])(?:\s*\1){2,}\s*")
_EMPHASIS = re.compile(r"\*\*|`|(?<!\w)__|__(?!\w)|(?<!\w)[*_](?=\w)|(?<=[\w%)])[*_](?!\w)")
_COMPARES = re.compile(r"(?:(?<![-=])[<>=≥≤]|\bat (?:least|most)\b)\s*[0-9]", re.I)


@dataclass(frozen=True, slots=True)
class Item:
    """A bullet or a paragraph: its first line, its indentation in columns, its text as one line."""

    line: int
    indent: int
    text: str


@dataclass(slots=True)
class Section:
    """A section: its name as in `SECTIONS`, the line of its heading, its items in order."""

    name: str
    line: int
    items: list[Item] = field(default_factory=list)


@dataclass(slots=True)
class Document:
    """A goal file's outline: `objective` is prose, `sections` holds the other ones by name."""

    title: str = ""
    objective: str = ""
    sections: dict[str, Section] = field(default_factory=dict)


def _visible_lines(text: str, problems: list[Problem]) -> list[tuple[int, str]]:
    """Return numbered lines without code fences and HTML comments; unclosed ones are problems."""
    lines = []
    fence, opened, in_comment = "", 0, False
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), start=1):
        shown = line.expandtabs(4).rstrip()
        marker = _FENCE.fullmatch(shown)
        if fence:
            if marker and marker[1].startswith(fence) and not marker[2].strip():
                fence = ""
            continue
        if marker and not in_comment:
            fence, opened = marker[1], number
            # like a blank line: what comes after it is a new paragraph
            lines.append((number, ""))
            continue
        commented = in_comment
        shown, in_comment, start = _without_comments(shown, in_comment)
        opened = number if start else opened
        if shown.strip() or not (commented or start or "<!--" in line):
            lines.append((number, shown))
    if fence or in_comment:
        what = f"the code fence {fence}" if fence else "the comment <!--"
        problems.append(Problem(opened, fence or "<!--", f"{what} is never closed"))
    return lines


def _without_comments(line: str, inside: bool) -> tuple[str, bool, bool]:
    """Cut HTML comments out of `line`; returns also whether one is open, and opened here."""
    kept, opened_here = "", False
    while line:
        if inside:
            _, end, line = line.partition("-->")
            inside = not end
        else:
            before, start, line = line.partition("<!--")
            kept += before
            inside = opened_here = bool(start)
    return kept.rstrip(), inside, inside and opened_here


def plain(text: str) -> str:
    """Return `text` without Markdown emphasis and with single spaces."""
    return " ".join(_EMPHASIS.sub("", text).split())


def read_sections(text: str) -> tuple[Document, list[Problem]]:
    """Read the outline of a goal file.

    Returns:
        The document, and what does not belong into one: an unknown or repeated section, text
        outside any section, an empty bullet, a comparison in the Objective (it would not be
        checked).
    """
    document = Document()
    problems: list[Problem] = []
    section: Section | None = None
    known = True  # below an unknown heading its lines are not reported once more
    open_item = False
    seen: dict[str, int] = {}
    for number, line in _visible_lines(text.removeprefix("\ufeff"), problems):
        heading = _HEADING.fullmatch(line)
        if heading:
            open_item = False
            name = plain(heading[2] or "").rstrip(":")
            if len(heading[1]) == 1 and not document.title and not seen:
                document.title = re.sub(r"(?i)^goal:\s*", "", name)
                continue
            section = _section(heading[1], name, number, line, seen, problems)
            known = section is not None
            if section and section.name != "Objective":
                document.sections[section.name] = section
        elif not line.strip() or _RULE.fullmatch(line):
            open_item = False
        elif section is None:
            if known:
                reason = "text outside a section; put it below ## Objective"
                problems.append(Problem(number, plain(line), reason))
        elif section.name == "Objective":
            if _COMPARES.search(line):
                reason = "the Objective is prose and never checked; move it to Success Criteria"
                problems.append(Problem(number, plain(line), reason))
            document.objective = f"{document.objective} {plain(line)}".strip()
        else:
            open_item = _add(section, number, line, open_item, problems)
    return document, problems


def _section(
    hashes: str, name: str, number: int, line: str, seen: dict[str, int], problems: list[Problem]
) -> Section | None:
    names = {section.lower(): section for section in SECTIONS}
    found = names.get(name.lower()) if len(hashes) == 2 else None
    if found is None:
        hit = nearest(name, SECTIONS)
        near = f'; the nearest is "## {hit}"' if hit else ""
        reason = f"no such section{near}; a goal has {', '.join(SECTIONS)} (## each)"
        problems.append(Problem(number, line.strip(), reason))
        return None
    if found in seen:
        reason = f"duplicate: this section is on line {seen[found]} already"
        problems.append(Problem(number, line.strip(), reason))
        return None
    seen[found] = number
    return Section(found, number)


def _add(section: Section, number: int, line: str, open_item: bool, problems: list[Problem]) -> bool:
    """Add a line to the section's items; returns whether the next line may continue it."""
    bullet = _BULLET.fullmatch(line)
    if bullet:
        words = plain(bullet[2] or "")
        if not words:
            problems.append(Problem(number, line.strip(), "an empty bullet"))
            return False
        section.items.append(Item(number, len(bullet[1]), words))
    elif open_item:
        last = section.items[-1]
        section.items[-1] = Item(last.line, last.indent, f"{last.text} {plain(line)}")
    else:
        section.items.append(Item(number, len(line) - len(line.lstrip()), plain(line)))
    return True
