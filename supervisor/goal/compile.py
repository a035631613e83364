"""The goal file: plain Markdown compiled into criteria and limits.

`parse_goal` reads the origin's four sections (Objective, Success Criteria, Constraints, Context).
Every line of the last three becomes a check, a fact, or an explicit "(not checked)"; a line that
becomes nothing is an error that names the line. `evaluate` holds a run's figures against them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from supervisor.goal.criteria import (
    NO_ENTITIES,
    NOT_CHECKED,
    Criterion,
    CriterionResult,
    Drift,
    Entities,
    Fact,
    Goal,
    GoalError,
    Limits,
    Number,
    Problem,
    drift,
    evaluate,
    is_met,
    stranger,
)
from supervisor.goal.grammar import ContextFact, Refusal, compile_fact, compile_line, is_lead
from supervisor.goal.markdown import Item, Section, read_sections
from supervisor.goal.metrics import METRICS, Metric

__all__ = [
    "METRICS",
    "Criterion",
    "CriterionResult",
    "Drift",
    "Fact",
    "Goal",
    "GoalError",
    "Limits",
    "Number",
    "Problem",
    "drift",
    "evaluate",
    "is_met",
    "load_goal",
    "parse_goal",
]


def load_goal(path: str | Path, entities: Entities = NO_ENTITIES) -> Goal:
    """Read and compile a goal file; `entities` are those that the project declares, with what they are measured in.

    Raises:
        GoalError: The file is missing, no UTF-8 text, or does not compile.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise GoalError(str(path), [Problem(None, "", "the file is not UTF-8 text")]) from error
    except OSError as error:
        reason = f"can't read the goal file ({error.strerror or type(error).__name__})"
        raise GoalError(str(path), [Problem(None, "", reason)]) from error
    return parse_goal(text, str(path), entities)


def parse_goal(text: str, path: str = "goal.md", entities: Entities = NO_ENTITIES) -> Goal:
    """Compile the text of a goal file.

    Args:
        text: Markdown with a section "Success Criteria" and, if wanted, a title, "Objective",
            "Constraints" and "Context".
        path: Named in errors, not read.
        entities: Those that the project declares; by name, the dimensions that they are measured in.

    Raises:
        GoalError: With every problem found, each with its line.
    """
    document, problems = read_sections(text)
    # the usual dimensions are metrics of their own
    own_dimensions = sorted({name for names in entities.values() for name in names} - set(METRICS))
    criteria: list[Criterion] = []
    facts: list[tuple[ContextFact, int]] = []
    for section in document.sections.values():
        for item in section.items:
            try:
                if item.text.lower().rstrip(". ").endswith(NOT_CHECKED):
                    criteria.append(_unchecked(item))
                elif section.name == "Context":
                    facts.append((_compile_context(item), item.line))
                elif not _introduces(item, section):
                    criteria.extend(_compile_criteria(item, own_dimensions))
            except Refusal as refusal:
                problems.append(Problem(item.line, item.text, str(refusal)))
    problems.extend(
        Problem(one.line, one.text, reason)
        for one in criteria
        if one.metric and "source" not in METRICS[one.metric].of and (reason := stranger(one, (), entities))
    )
    problems.extend(_conflicts(criteria))
    problems.extend(_repeated_facts(facts))
    success = document.sections.get("Success Criteria")
    if success is None:
        problems.append(Problem(None, "", 'the section "## Success Criteria" is missing'))
    elif not problems and not any(
        criterion.metric and criterion.line in {item.line for item in success.items} for criterion in criteria
    ):
        reason = "no line of this section is checked: that is no contract"
        problems.append(Problem(success.line, "## Success Criteria", reason))
    if problems:
        raise GoalError(path, sorted(problems, key=lambda problem: problem.line or 0))
    return Goal(
        title=document.title,
        objective=document.objective,
        criteria=tuple(criteria),
        facts=tuple(Fact(fact.key, fact.value, line) for fact, line in facts),
        limits=_limits(criteria, [fact for fact, _ in facts]),
        path=path,
        entities=entities,
    )


def _unchecked(item: Item) -> Criterion:
    if not item.text.lower().rstrip(". ").removesuffix(NOT_CHECKED).strip():
        raise Refusal("says what is not checked in no word")
    return Criterion(item.text, item.line, None, None, None, None)


def _introduces(item: Item, section: Section) -> bool:
    """Return whether `item` is a beginning ("Quality checks pass:") with bullets below it."""
    following = next((other for other in section.items if other.line > item.line), None)
    return is_lead(item.text) and following is not None and following.indent > item.indent


def _compile_criteria(item: Item, dimensions: Sequence[str]) -> list[Criterion]:
    checks = compile_line(item.text, dimensions)
    return [
        Criterion(
            # a line that is one check keeps its whole wording in the report
            item.text if len(checks) == 1 else check.text,
            item.line,
            check.metric.name,
            check.operator,
            check.threshold,
            check.metric.unit,
            check.subject,
            check.past,
        )
        for check in checks
    ]


def _compile_context(item: Item) -> ContextFact:
    try:
        return compile_fact(item.text)
    except Refusal:
        try:
            compile_line(item.text)
        except Refusal:
            pass
        else:
            reason = "Context is never checked; move it to Success Criteria or Constraints"
            raise Refusal(reason) from None
        raise


def _conflicts(criteria: Sequence[Criterion]) -> list[Problem]:
    """Find a second criterion on the same figure that repeats or contradicts an earlier one."""
    problems = []
    earlier: dict[str, list[Criterion]] = {}
    for criterion in criteria:
        if criterion.metric is None:
            continue
        for other in earlier.setdefault(criterion.name, []):
            if reason := _conflict(METRICS[criterion.metric], other, criterion):
                problems.append(Problem(criterion.line, criterion.text, reason))
                break
        earlier[criterion.name].append(criterion)
    return problems


def _conflict(metric: Metric, first: Criterion, second: Criterion) -> str | None:
    before = f'{first.name} has a criterion on line {first.line} already ("{first.text}")'
    if (first.operator, first.threshold) == (second.operator, second.threshold):
        return f"duplicate: {before}"
    sides = {str(item.operator)[0]: item for item in (first, second)}
    if set(sides) == {"<", ">"}:
        low, high = sides[">"], sides["<"]
        if low.threshold is None or high.threshold is None or low.threshold < high.threshold:
            return None
    return f"contradiction: {before}"


def _repeated_facts(facts: Sequence[tuple[ContextFact, int]]) -> list[Problem]:
    first: dict[str, int] = {}
    problems = []
    for fact, line in facts:
        if fact.key in first:
            reason = f"duplicate: {fact.key} is on line {first[fact.key]} already"
            problems.append(Problem(line, f"{fact.key}: {fact.value}", reason))
        first.setdefault(fact.key, line)
    return problems


def _limits(criteria: Sequence[Criterion], facts: Sequence[ContextFact]) -> Limits:
    bound = {item.metric: item.threshold for item in criteria if item.threshold is not None}
    deadline, memory, cores = (bound.get(metric) for metric in ("duration_s", "peak_memory_mb", "cores_used"))
    sources = next((fact for fact in facts if fact.sources is not None), None)
    return Limits(
        deadline_s=None if deadline is None else int(deadline),
        memory_bytes=None if memory is None else int(memory * 10**6),
        cores=None if cores is None else int(cores),
        schedule=next((fact.schedule for fact in facts if fact.schedule), None),
        sources=sources.sources if sources else None,
        source_names=sources.source_names if sources else (),
        scale=next((fact.scale for fact in facts if fact.scale), None),
    )
