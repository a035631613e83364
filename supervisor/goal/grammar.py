"""How one line of the goal file becomes checks or a fact: a small strict grammar, no language model.

A clause is a comparison ("completeness >= 95 %", "< 2 % failure rate"), a limit ("8 GB RAM") or
one of a few known sentences ("No data loss"). Everything else is refused with the nearest accepted
form. Numbers are `Fraction`, so that what a person wrote is compared exactly.

A line of Context is a fact: shown and planned with, never checked. Its key is one of a few known ones, so that a typo
can't hide. `docs/goal.md` shows every form with an example.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from supervisor.goal.metrics import ALIASES, METRICS, Metric, Operator, Past, Unit


class Refusal(Exception):
    """Raised when a clause compiles to nothing; the text says why and what comes nearest."""


@dataclass(frozen=True, slots=True)
class Check:
    """One compiled clause: `metric operator threshold`, the threshold in the metric's unit; see `Criterion` for the rest."""

    text: str
    metric: Metric
    operator: Operator
    threshold: Fraction
    subject: str | None = None
    past: Past | None = None


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
_SUBJECT = r"[a-z][a-z0-9_]{0,62}"
_OF_SUBJECT = re.compile(rf"(?P<name>.+?)\s+of\s+(?P<subject>{_SUBJECT})", re.I)
_VOLUME = re.compile(
    rf"(?:the\s+)?volume(?:\s+of\s+(?P<source>{_SUBJECT}))?{_FILLER}\s+within\s+{_QUANTITY}\s+of\s+(?:the|its)\s+last"
    r"(?:\s+(?P<days>[0-9]{1,3}))?\s+(?P<same>same\s+week)?days?",
    re.I,
)
_MOST_PAST_DAYS = 90
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


def _unknown(name: str, dimensions: Sequence[str]) -> Refusal:
    sentences = {sentence.split(" (")[0].lower(): sentence for sentence, *_ in _SENTENCES}
    found = _OF_SUBJECT.fullmatch(name)
    inner = found and nearest(found["name"], (alias for alias in ALIASES if ALIASES[alias].of))
    hit = inner or nearest(name, (*ALIASES, *sentences, *dimensions))
    if hit is None:
        return Refusal(f'"{name}" is no metric and no accepted sentence')
    if hit in sentences:
        return Refusal(f'"{name}" is no accepted sentence; the nearest is "{sentences[hit]}"')
    if hit in dimensions:
        return Refusal(f'no metric is called "{name}"; the nearest is {hit}, as in "{hit} >= 95 %"')
    metric = ALIASES[hit]
    return Refusal(f'no metric is called "{name}"; the nearest is {metric.name}, as in "{metric.example}"')


def _metric(name: str) -> Metric | None:
    return ALIASES.get(" ".join(name.replace("_", " ").split()).lower())


def _metric_of(name: str, dimensions: Sequence[str]) -> tuple[Metric | None, str | None]:
    """Return the metric and the source, entity or dimension that a name stands for, as in "records of s3"."""
    metric = _metric(name)
    found = None if metric else _OF_SUBJECT.fullmatch(name)
    inner = _metric(found["name"]) if found else None
    if found and inner and inner.of:
        return inner, found["subject"].lower()
    dimension = next((one for one in dimensions if one == name.lower()), None)
    return (METRICS["score"], dimension) if dimension else (metric, None)


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


def _comparison(text: str, found: re.Match[str], operator: Operator, dimensions: Sequence[str]) -> Check:
    metric, subject = _metric_of(found["name"], dimensions)
    if metric is None:
        raise _unknown(found["name"], dimensions)
    if metric.name == "score" and subject is None:
        raise Refusal(f'score: the dimension is missing; write it as in "{metric.example}"')
    if metric.name == "volume":
        raise _no_volume()
    noun = found.groupdict().get("noun") or ""
    counts_records = noun in ("records", "rows") and metric.unit in ("fraction", "count")
    if noun not in metric.name and not counts_records:
        raise Refusal(f'{metric.name} is {_KINDS[metric.unit]}, not a number of "{noun}"')
    threshold = _threshold(found, metric)
    _refuse_senseless(metric, operator, threshold)
    return Check(text, metric, operator, threshold, subject)


def _no_volume() -> Refusal:
    return Refusal(f'volume: no bound and no past that are known; write it as in "{METRICS["volume"].example}"')


def _volume(text: str, found: re.Match[str]) -> Check:
    metric = METRICS["volume"]
    threshold = _threshold(found, metric)
    days = int(found["days"] or 1)
    if not 0 < threshold < 1:
        raise Refusal(
            "volume is held within more than 0 % and less than 100 %: at 100 % a day without records would pass"
        )
    if not 1 <= days <= _MOST_PAST_DAYS:
        raise Refusal(f"volume is held against the last 1 to {_MOST_PAST_DAYS} days, not {days}")
    source = found["source"]
    return Check(text, metric, "<=", threshold, source and source.lower(), Past(days, bool(found["same"])))


def _refuse_hidden(comment: str) -> None:
    """Refuse a comment in parentheses that looks like a criterion: it would not be checked."""
    if comment.strip().lower() == "not checked":
        raise Refusal('"(not checked)" belongs at the end of the line and covers all of it')
    if _BOUND.search(comment):
        raise Refusal(
            f'the comment "({comment})" holds a comparison that would not be checked; make it a line of its own'
        )


def _compile_clause(clause: str, dimensions: Sequence[str]) -> Check:
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
    if found := _VOLUME.fullmatch(bare):
        return _volume(clause, found)
    if re.match(r"(?:the\s+)?volume\b", bare, re.I):
        raise _no_volume()
    if found := _NAME_LAST.fullmatch(bare):
        if found["lead"] and not _LEAD_IN.fullmatch(found["lead"]):
            raise Refusal(f'"{found["lead"]} with" is not an accepted beginning')
        return _comparison(clause, found, _OPERATORS[found["op"].lower()], dimensions)
    if found := _NAME_FIRST.fullmatch(bare):
        return _comparison(clause, found, _OPERATORS[found["op"].lower()], dimensions)
    if bare.lower() in _LEADS:
        raise Refusal("names no check; write them after a colon")
    found = _NO_OPERATOR.fullmatch(bare) or _NO_OPERATOR_LAST.fullmatch(bare)
    name = found["name"] if found else _SIGNS.split(bare)[0].strip() or bare
    metric = _metric(name)
    if metric is None:
        raise _unknown(name, dimensions)
    if found and found.re is _NO_OPERATOR and metric.unit in ("MB", "cores"):
        return _comparison(clause, found, "<=", dimensions)
    why = "no operator" if found else f"can't read a bound, {_KINDS[metric.unit]}"
    raise Refusal(f'{metric.name}: {why}; write it as in "{metric.example}"')


def is_lead(text: str) -> bool:
    """Return whether `text` (with its colon) only introduces the bullets below it."""
    return text.endswith(":") and text[:-1].strip().lower() in _LEADS


def compile_line(text: str, dimensions: Sequence[str] = ()) -> list[Check]:
    """Compile a line of Success Criteria or Constraints into its checks, at least one.

    Args:
        text: The line without bullet and emphasis; a comparison, a limit or a sentence, or
            several of them separated by commas, after an optional beginning such as
            "Quality checks pass:", or the name of a source or an entity that it is about.
        dimensions: Those that the project declares beside the usual ones.

    Raises:
        Refusal: A part of the line compiles to nothing.
    """
    if len(text) > _LONGEST_LINE:
        raise Refusal(f"longer than {_LONGEST_LINE} characters")
    head, colon, tail = text.partition(":")
    if colon and "(" not in head:
        if head.strip().lower() in _LEADS:
            text = tail
        elif _metric_of(head, dimensions)[0]:
            text = f"{head} {tail}"
        elif checks := _checks_of_subject(head.strip(), tail, dimensions):
            return checks
        else:
            hit = nearest(head, (*_LEADS, *ALIASES))
            near = f'; the nearest is "{hit}:"' if hit else ""
            raise Refusal(f'"{head}:" is not an accepted beginning{near}')
    return [_compile_clause(clause, dimensions) for clause in split_clauses(text.strip())]


def _checks_of_subject(head: str, tail: str, dimensions: Sequence[str]) -> list[Check]:
    """Return the checks of a line such as "s3: at least 1,000 records" or "Orders: completeness >= 99 %".

    None where the line is not about one source or entity; whether there is such a one is only known when the goal is bound.
    """
    if not re.fullmatch(_SUBJECT, head, re.I) or not _BOUND.search(tail):
        return []
    checks = [_compile_clause(clause, dimensions) for clause in split_clauses(tail.strip())]
    named = [f"{one.subject} of {head.lower()}" if one.metric.name == "score" else head.lower() for one in checks]
    if not all(one.metric.of and (one.subject is None or one.metric.name == "score") for one in checks):
        return []
    return [
        replace(check, text=f"{head}: {check.text}", subject=subject)
        for check, subject in zip(checks, named, strict=True)
    ]


# ---------------------------------------------------------------- Context

_FORMS = {
    "Frequency": '"Daily (automated at 2 AM)", "Weekdays at 06:30", "Weekly on Monday at 2 AM" '
                 'or "cron 0 2 * * *"',
    "Priority": '"Low", "Medium", "High" or "Critical", with a comment in parentheses or none',
    "Scale": '"Medium (100K-1M records per source)" or "100K-1M records per source"',
    "Sources": '"3" or "3 (S3, PostgreSQL, REST API)"',
    "Owner": "a name",
    "Contact": "a name or an address",
}  # fmt: skip
_KEYS = {**{key.lower(): key for key in _FORMS}, "schedule": "Frequency"}

_DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_WHEN = re.compile(
    rf"(?P<how>daily|weekdays|weekly on (?P<day>{'|'.join(_DAYS)}))\s+"
    r"(?:\((?:automated |runs )?at (?P<inside>[^()]+)\)|at (?P<plain>[^()]+))",
    re.I,
)
_TIME = re.compile(r"(?P<hour>[0-9]{1,2})(?::(?P<minute>[0-9]{2}))?\s*(?P<half>am|pm)?", re.I)
_CRON = re.compile(r"cron((?:\s+\S+){5})", re.I)
_CRON_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_CRON_PART = re.compile(r"(?:\*|([0-9]{1,2})(?:-([0-9]{1,2}))?)(?:/([1-9][0-9]?))?")
_PRIORITY = re.compile(r"(?:low|medium|high|critical)(?:\s+\([^()]+\))?", re.I)
_SCALE = re.compile(r"(?:small|medium|large)\s+\((?P<inside>[^()]+)\)|(?P<plain>[^()]+)", re.I)
_COUNT = r"([0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,12}(?:\.[0-9]{1,6})?)\s*([KkM])?"
_RANGE = re.compile(rf"{_COUNT}\s*(?:-|\u2013|to)\s*{_COUNT}\s+records per source")
_SOURCES = re.compile(r"([0-9]{1,4})(?:\s+\(([^()]+)\))?")


@dataclass(frozen=True, slots=True)
class ContextFact:
    """One line of Context, with what it means for the plan.

    Attributes:
        key: "Frequency", "Priority", "Scale", "Sources", "Owner" or "Contact".
        value: As written.
        schedule: Five-field cron expression, from Frequency.
        sources: Number of sources, from Sources.
        source_names: Their names, when they are given.
        scale: Fewest and most records per source and day, from Scale.
    """

    key: str
    value: str
    schedule: str | None = None
    sources: int | None = None
    source_names: tuple[str, ...] = ()
    scale: tuple[int, int] | None = None


def _refusal(key: str, value: str, why: str = "") -> Refusal:
    return Refusal(f'{key} can\'t be "{value}"{why and ": "}{why}; write {_FORMS[key]}')


def _cron(value: str, fields: list[str]) -> str:
    for field, (low, high) in zip(fields, _CRON_RANGES, strict=True):
        for part in field.split(","):
            found = _CRON_PART.fullmatch(part)
            numbers = [int(text) for text in found.groups()[:2] if text] if found else [-1]
            if numbers != sorted(numbers) or not all(low <= item <= high for item in numbers):
                raise _refusal("Frequency", value, f'"{part}" is no cron field of {low} to {high}')
    return " ".join(fields)


def _schedule(value: str) -> str:
    if found := _CRON.fullmatch(value):
        return _cron(value, found[1].split())
    when = _WHEN.fullmatch(value)
    if not when:
        raise _refusal("Frequency", value)
    time = _TIME.fullmatch((when["inside"] or when["plain"]).strip())
    if not time or not (time["half"] or time["minute"]):
        raise _refusal("Frequency", value, "the time of day is missing or unclear")
    hour, minute, half = int(time["hour"]), int(time["minute"] or 0), (time["half"] or "").lower()
    if minute > 59 or hour > 23 or (half and not 1 <= hour <= 12):
        raise _refusal("Frequency", value, "there is no such time of day")
    if half:
        hour = hour % 12 + (12 if half == "pm" else 0)
    how = when["how"].lower()
    weekday = {"daily": "*", "weekdays": "1-5"}.get(how) or str(_DAYS.index(when["day"].lower()))
    return f"{minute} {hour} * * {weekday}"


def _scale(value: str) -> tuple[int, int]:
    outer = _SCALE.fullmatch(value)
    found = _RANGE.fullmatch((outer["inside"] or outer["plain"]).strip()) if outer else None
    if not found:
        raise _refusal("Scale", value)
    low_text, low_unit, high_text, high_unit = found.groups()
    factors = {"K": 10**3, "k": 10**3, "M": 10**6}
    low = Fraction(low_text.replace(",", "")) * factors.get(low_unit, 1)
    high = Fraction(high_text.replace(",", "")) * factors.get(high_unit, 1)
    if high_unit and not low_unit and 0 < low < 1_000:
        raise _refusal("Scale", value, f"is the lower end {low_text} or {low_text}{high_unit}")
    if low > high or low.denominator != 1 or high.denominator != 1:
        raise _refusal("Scale", value, "the range is no range of whole numbers")
    return int(low), int(high)


def _sources(value: str) -> tuple[int, tuple[str, ...]]:
    found = _SOURCES.fullmatch(value)
    if not found or int(found[1]) < 1:
        raise _refusal("Sources", value)
    names = tuple(name.strip() for name in found[2].split(",")) if found[2] else ()
    if names and (len(names) != int(found[1]) or len(set(names)) != len(names) or "" in names):
        raise _refusal("Sources", value, f"{found[1]} announced, {len(set(names))} named")
    return int(found[1]), names


def compile_fact(text: str) -> ContextFact:
    """Compile a line of Context ("Key: value").

    Raises:
        Refusal: The key is unknown, or the value has none of its accepted forms.
    """
    head, colon, tail = text.partition(":")
    value = tail.strip()
    key = _KEYS.get(head.strip().lower())
    if not colon or key is None:
        hit = nearest(head.strip(), _KEYS)
        near = f'; the nearest is "{_KEYS[hit]}: ..."' if hit else ""
        raise Refusal(f'"{head.strip()}" is no fact that Context knows{near}; '
                      f'it knows {", ".join(_FORMS)}')  # fmt: skip
    if not value:
        raise _refusal(key, value)
    if key == "Frequency":
        return ContextFact(key, value, schedule=_schedule(value))
    if key == "Scale":
        return ContextFact(key, value, scale=_scale(value))
    if key == "Sources":
        count, names = _sources(value)
        return ContextFact(key, value, sources=count, source_names=names)
    if key == "Priority" and not _PRIORITY.fullmatch(value):
        raise _refusal(key, value)
    return ContextFact(key, value)
