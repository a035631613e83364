"""How one line of the goal file becomes checks: a small strict grammar, no language model.

A clause is a comparison ("completeness >= 95 %", "< 2 % failure rate"), a limit ("8 GB RAM") or
one of a few known sentences ("No data loss"). Everything else is refused with the nearest accepted
form. Numbers are `Fraction`, so that what a person wrote is compared exactly. `docs/goal.md` shows
every form with an example.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from supervisor.goal.metrics import ALIASES, METRICS, Metric, Operator, Unit


class Refusal(Exception):
    """Raised when a clause compiles to nothing; the text says why and what comes nearest."""


@dataclass(frozen=True, slots=True)
class Check:
    """One compiled clause: `metric operator threshold`, the threshold in the metric's unit."""

    text: str
    metric: Metric
    operator: Operator
    threshold: Fraction


# how the sentence is shown, the pattern it is known by, and the check that it stands for
_SENTENCES: tuple[tuple[str, str, str, Operator, int], ...] = (
    ("All available sources successfully ingested (100% success or logged failures)",
     r"all (available )?sources (successfully )?(ingested|loaded|collected) "
     r"\(100 ?% success or logged failures\)", "sources_accounted", "==", 1),
    ("All sources ingested",
     r"all sources (successfully )?(ingested|loaded|collected)", "sources_failed", "==", 0),
    ("Must handle source unavailability gracefully",
     r"(must )?handles? source unavailability gracefully", "unhandled_source_failures", "==", 0),
    ("Data published to warehouse without duplicates",
     r"(data )?published (to (the )?(data )?warehouse )?without duplicates"
     r"|no duplicates( published)?", "duplicates_published", "==", 0),
    ("No data loss", r"no data loss|no records? lost", "records_lost", "==", 0),
    ("Idempotent", r"idempotent|safe to re-?run( without duplicates)?",
     "rerun_leftovers", "==", 0),
    ("Must preserve data lineage",
     r"(must )?preserves? (data )?lineage|(data )?lineage preserved", "lineage_gaps", "==", 0),
)  # fmt: skip

_LEADS = ("quality checks pass", "quality checks", "data quality", "quality",
          "resource limits", "resources", "limits")  # fmt: skip

_UNITS: dict[str, tuple[Unit, Fraction]] = {
    **dict.fromkeys(("%", "percent"), ("fraction", Fraction(1, 100))),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), ("s", Fraction(1))),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), ("s", Fraction(60))),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), ("s", Fraction(3600))),
    "kb": ("MB", Fraction(1, 10**3)), "kib": ("MB", Fraction(2**10, 10**6)),
    "mb": ("MB", Fraction(1)), "mib": ("MB", Fraction(2**20, 10**6)),
    "gb": ("MB", Fraction(10**3)), "gib": ("MB", Fraction(2**30, 10**6)),
    "tb": ("MB", Fraction(10**6)), "tib": ("MB", Fraction(2**40, 10**6)),
}  # fmt: skip
_KINDS: dict[Unit, str] = {
    "fraction": 'a share, as in "95 %" or "0.95"',
    "s": 'a time, as in "30 minutes", "90 s" or "1.5 hours"',
    "MB": 'a size, as in "8 GB", "8 GiB" or "800 MB"',
    "cores": 'a number of cores, as in "4"',
    "count": 'a count, as in "0", "1,000", "300K" or "1.5M"',
}
# a daily run has to end within a day; less memory than this starts no engine
_RANGES: dict[Unit, tuple[int, int, str]] = {
    "fraction": (0, 1, "0 % to 100 %"),
    "s": (1, 86_400, "1 second to 24 hours"),
    "MB": (128, 16 * 10**6, "128 MB to 16 TB"),
    "cores": (1, 1_024, "1 to 1,024"),
    "count": (0, 10**12, "0 to 1,000,000,000,000"),
}
_OPERATORS: dict[str, Operator] = {
    "≥": ">=", ">=": ">=", "≤": "<=", "<=": "<=", "<": "<", ">": ">", "=": "==", "==": "==",
    "at least": ">=", "no less than": ">=", "not less than": ">=",
    "at most": "<=", "no more than": "<=", "not more than": "<=", "up to": "<=", "within": "<=",
    "below": "<", "under": "<", "less than": "<", "fewer than": "<",
    "above": ">", "over": ">", "more than": ">", "greater than": ">",
    "equal to": "==", "equals": "==", "exactly": "==",
}  # fmt: skip


def _either(words: Iterable[str]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


_SIGNS = re.compile(r"[<>=≥≤≠≈~!]+")
_SIGN = _either(word for word in _OPERATORS if _SIGNS.fullmatch(word))
_WORD = _either(word for word in _OPERATORS if not _SIGNS.fullmatch(word))
_OPERATOR = rf"(?P<op>{_SIGN}|\b(?:{_WORD})\b)"
_QUANTITY = (
    r"(?P<number>[-+]?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,15})(?:\.[0-9]{1,9})?)"
    rf"(?:\s*(?P<unit>(?:{_either(_UNITS)}|[KM])(?![A-Za-z0-9])))?"
)
_LONGEST_LINE = 500
_FILLER = r"(?:\s+(?:is|are|of|in|must be|should be|stays|remains))*"
_NAME_FIRST = re.compile(
    rf"(?:the\s+)?(?P<name>\S.*?){_FILLER}\s*{_OPERATOR}\s*{_QUANTITY}"
    r"(?:\s+(?P<noun>records|rows|sources|cores))?",
    re.I,
)
_NAME_LAST = re.compile(
    rf"(?:(?P<lead>.+?)\s+with\s+(?:an?\s+)?)?{_OPERATOR}\s*{_QUANTITY}\s+(?:of\s+)?(?P<name>\S.*)",
    re.I,
)
_NO_OPERATOR = re.compile(rf"{_QUANTITY}\s+(?:of\s+)?(?P<name>\S.*)", re.I)
_NO_OPERATOR_LAST = re.compile(rf"(?P<name>[^\W\d][^<>=≥≤≠≈~!]*?)\s*{_QUANTITY}", re.I)
_LEAD_IN = re.compile(r"data transformed(?: to (?:the )?(?:target|common) schema)?", re.I)
_COMMENT = re.compile(r"(?P<bare>.*\S)\s*\((?P<comment>[^()]*)\)")
_BOUND = re.compile(rf"{_SIGNS.pattern}|%|percent|{_OPERATOR}\s*[-+]?[0-9]", re.I)
_GAP = re.compile(r"[,;](?![0-9]{3}(?![0-9]))\s*(?:and\s+)?|\s+and\s+", re.I)


def nearest(query: str, known: Iterable[str]) -> str | None:
    """Return the known phrase that `query` looks most like, or None when none is near."""
    lowered = {phrase.lower(): phrase for phrase in known}
    found = difflib.get_close_matches(query.lower(), lowered, n=1, cutoff=0.5)
    for word in query.lower().split():
        # a misspelt name inside a longer phrase
        found = found or difflib.get_close_matches(word, lowered, n=1, cutoff=0.8)
    return lowered[found[0]] if found else None


def _unknown(name: str) -> Refusal:
    sentences = {sentence.split(" (")[0].lower(): sentence for sentence, *_ in _SENTENCES}
    hit = nearest(name, (*ALIASES, *sentences))
    if hit is None:
        return Refusal(f'"{name}" is no metric and no accepted sentence')
    if hit in sentences:
        return Refusal(f'"{name}" is no accepted sentence; the nearest is "{sentences[hit]}"')
    metric = ALIASES[hit]
    return Refusal(f'no metric is called "{name}"; the nearest is {metric.name}, as in "{metric.example}"')


def _metric(name: str) -> Metric | None:
    return ALIASES.get(" ".join(name.replace("_", " ").split()).lower())


def split_clauses(text: str) -> list[str]:
    """Split at commas, semicolons and "and" outside parentheses; "1,000" stays whole."""
    parts, depth, start, position = [], 0, 0, 0
    while position < len(text):
        depth += {"(": 1, ")": -1}.get(text[position], 0)
        if depth == 0 and (gap := _GAP.match(text, position)):
            parts.append(text[start:position].strip())
            start = position = gap.end()
        else:
            position += 1
        if depth < 0:
            break
    if depth != 0:
        raise Refusal("a parenthesis is not closed or not opened")
    parts.append(text[start:].strip())
    if not all(parts):
        raise Refusal("a part of the line is empty")
    return parts


def _threshold(found: re.Match[str], metric: Metric) -> Fraction:
    """Return the number in the metric's unit; refuses a wrong unit and a wrong range."""
    number = Fraction(found["number"].replace(",", ""))
    unit = found["unit"] or ""
    written = f"{found['number']} {unit}".strip()
    kind: Unit = metric.unit
    factor = Fraction(1)
    if unit in ("K", "k", "M"):
        kind, factor = "count", Fraction(10**6 if unit == "M" else 10**3)
    elif unit and unit != "m":  # minutes, metres, millions or a slip
        kind, factor = _UNITS[unit.lower()]
    elif unit or metric.unit in ("s", "MB"):
        raise Refusal(f"{metric.name} is {_KINDS[metric.unit]}, not {written}")
    elif metric.unit == "fraction" and "." not in found["number"] and number != 0:
        raise Refusal(f"{metric.name} is {_KINDS['fraction']}, not a bare {written}")
    if kind != metric.unit:
        raise Refusal(f"{metric.name} is {_KINDS[metric.unit]}, not {written}")
    value = number * factor
    low, high, words = _RANGES[kind]
    if not low <= value <= high:
        raise Refusal(f"{written} is out of range for {metric.name} ({words})")
    if kind != "fraction" and (value * (10**6 if kind == "MB" else 1)).denominator != 1:
        of = {"s": " of seconds", "MB": " of bytes"}.get(kind, "")
        raise Refusal(f"{metric.name} must be a whole number{of}, not {written}")
    return value


def _refuse_senseless(metric: Metric, operator: Operator, threshold: Fraction) -> None:
    """Refuse bounds that say the opposite of what is wanted, or that no run can meet."""
    if metric.better == "any":
        return
    high = metric.better == "high"
    best = int(high)
    shown = f"{metric.name} {operator}"
    if operator == "==":
        exact = metric.unit == "count" or (metric.unit == "fraction" and threshold == best)
        if not exact:
            raise Refusal(f"{shown} is met by one exact figure only; use {'>=' if high else '<='}")
    elif high != operator.startswith(">"):
        raise Refusal(f"{shown} bounds it on the wrong side; use {'>=' if high else '<='}")
    elif operator in ("<", ">") and threshold == best and metric.unit == "fraction":
        raise Refusal(f"{shown} {best * 100} % can never be met; use {'>=' if high else '<='}")
    elif operator == "<" and threshold == 0:
        raise Refusal(f"{shown} 0 can never be met; use =")


def _comparison(text: str, found: re.Match[str], operator: Operator) -> Check:
    metric = _metric(found["name"])
    if metric is None:
        raise _unknown(found["name"])
    noun = found.groupdict().get("noun") or ""
    counts_records = noun in ("records", "rows") and metric.unit in ("fraction", "count")
    if noun not in metric.name and not counts_records:
        raise Refusal(f'{metric.name} is {_KINDS[metric.unit]}, not a number of "{noun}"')
    threshold = _threshold(found, metric)
    _refuse_senseless(metric, operator, threshold)
    return Check(text, metric, operator, threshold)


def _refuse_hidden(comment: str) -> None:
    """Refuse a comment in parentheses that looks like a criterion: it would not be checked."""
    if comment.strip().lower() == "not checked":
        raise Refusal('"(not checked)" belongs at the end of the line and covers all of it')
    if _BOUND.search(comment):
        raise Refusal(
            f'the comment "({comment})" holds a comparison that would not be checked; make it a line of its own'
        )


def _compile_clause(clause: str) -> Check:
    plain = " ".join(clause.split())
    commented = _COMMENT.fullmatch(plain)
    bare = commented["bare"] if commented else plain
    hits = [row for row in _SENTENCES if re.fullmatch(row[1], plain, re.I)]
    if not hits:
        _refuse_hidden(commented["comment"] if commented else "")
        hits = [row for row in _SENTENCES if re.fullmatch(row[1], bare, re.I)]
    if hits:
        _, _, name, operator, threshold = hits[0]
        return Check(clause, METRICS[name], operator, Fraction(threshold))

    signs = _SIGNS.findall(bare)
    if odd := next((sign for sign in signs if sign not in _OPERATORS), None):
        raise Refusal(f'"{odd}" is no operator; use one of {", ".join(_OPERATORS)}')
    if len(signs) > 1:
        raise Refusal("more than one comparison; separate them with commas")
    if found := _NAME_LAST.fullmatch(bare):
        if found["lead"] and not _LEAD_IN.fullmatch(found["lead"]):
            raise Refusal(f'"{found["lead"]} with" is not an accepted beginning')
        return _comparison(clause, found, _OPERATORS[found["op"].lower()])
    if found := _NAME_FIRST.fullmatch(bare):
        return _comparison(clause, found, _OPERATORS[found["op"].lower()])
    if bare.lower() in _LEADS:
        raise Refusal("names no check; write them after a colon")
    found = _NO_OPERATOR.fullmatch(bare) or _NO_OPERATOR_LAST.fullmatch(bare)
    name = found["name"] if found else _SIGNS.split(bare)[0].strip() or bare
    metric = _metric(name)
    if metric is None:
        raise _unknown(name)
    if found and found.re is _NO_OPERATOR and metric.unit in ("MB", "cores"):
        return _comparison(clause, found, "<=")
    why = "no operator" if found else f"can't read a bound, {_KINDS[metric.unit]}"
    raise Refusal(f'{metric.name}: {why}; write it as in "{metric.example}"')


def is_lead(text: str) -> bool:
    """Return whether `text` (with its colon) only introduces the bullets below it."""
    return text.endswith(":") and text[:-1].strip().lower() in _LEADS


def compile_line(text: str) -> list[Check]:
    """Compile a line of Success Criteria or Constraints into its checks, at least one.

    Args:
        text: The line without bullet and emphasis; a comparison, a limit or a sentence, or
            several of them separated by commas, after an optional beginning such as
            "Quality checks pass:".

    Raises:
        Refusal: A part of the line compiles to nothing.
    """
    if len(text) > _LONGEST_LINE:
        raise Refusal(f"longer than {_LONGEST_LINE} characters")
    head, colon, tail = text.partition(":")
    if colon and "(" not in head:
        if head.strip().lower() in _LEADS:
            text = tail
        elif _metric(head):
            text = f"{head} {tail}"
        else:
            hit = nearest(head, (*_LEADS, *ALIASES))
            near = f'; the nearest is "{hit}:"' if hit else ""
            raise Refusal(f'"{head}:" is not an accepted beginning{near}')
    return [_compile_clause(clause) for clause in split_clauses(text.strip())]
