"""The loop over dbt: what is built, retried, cleansed and undone, with dbt's answers given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from run_helpers import loaded, make_state

from supervisor.dbt.artifacts import Invocation, NodeResult
from supervisor.dbt.client import DbtError
from supervisor.record.events import CleansingStarted, CleansingUndone, DbtRetried, DecisionTaken, Event
from supervisor.record.figures import DayFigures, Measured
from supervisor.run import build
from supervisor.run.build import BuildLoop
from supervisor.run.outcome import EscalationError

REMEDY = {"dimension": "accuracy", "remedy": "cleanse", "tier": 1, "rebuild": "int_corrections_in_force+"}
Answer = Sequence[NodeResult] | DbtError


def node(name: str, status: str, *, failures: int | None = None, message: str | None = None, **meta: Any) -> NodeResult:
    kind = "model" if failures is None else "test"
    return NodeResult(f"{kind}.{name}", name, kind, status, message, failures, None, meta, 0.1)


MODEL = node("int_events_checked", "success")
PASSED = node("accuracy_meets_threshold", "pass", failures=0, dimension="accuracy")
CORRECTABLE = node("nothing_left_in_tier_1", "warn", failures=1_200, **REMEDY)
CORRECTED = node("nothing_left_in_tier_1", "pass", failures=0, **REMEDY)


class ScriptedDbt:
    """Answers each invocation with the next of the given answers, and keeps what it was asked."""

    def __init__(self, folder: Path, answers: Sequence[Answer], nodes: Mapping[str, Any]) -> None:
        self.folder, self.count, self._nodes = folder, 0, nodes
        self._answers = list(answers)
        self.asked: list[tuple[str, list[str], Mapping[str, Any]]] = []

    def invoke(self, name: str, arguments: Sequence[str], variables: Mapping[str, Any], seconds: float) -> Invocation:
        self.count += 1
        self.asked.append((name, list(arguments), dict(variables)))
        answer = self._answers.pop(0)
        if isinstance(answer, DbtError):
            raise answer
        return Invocation(self._nodes, tuple(answer))

    @property
    def names(self) -> list[str]:
        return [name for name, _, _ in self.asked]


class Bench:
    """A loop with scripted answers, figures and nodes of the manifest; `run` builds and validates."""

    def __init__(
        self,
        folder: Path,
        answers: Sequence[Answer],
        out_of_range: Sequence[int] = (0,),
        nodes: Mapping[str, Any] | None = None,
    ) -> None:
        self.events: list[Event] = []
        self.state = make_state(folder, emit=self.events.append)
        self.state.outcomes["s3"] = loaded("s3")
        self.dbt = ScriptedDbt(folder, answers, nodes or {})
        self._out_of_range = list(out_of_range)
        self.loop = BuildLoop(self.state, self.dbt, self._read)  # type: ignore[arg-type]

    def _read(self) -> None:
        left = self._out_of_range.pop(0) if len(self._out_of_range) > 1 else self._out_of_range[0]
        figures = DayFigures(
            collected=100_000,
            transformed=100_000,
            published=100_000,
            dimensions={"accuracy": Measured(100_000, left, left)},
        )
        self.state.update_figures({("events", "s3"): figures})

    def run(self) -> None:
        for phase, work in (("transform", self.loop.transform), ("validate", self.loop.validate)):
            self.state.clock.start(phase, phase)
            work()
            self.state.clock.finish(phase, "COMPLETED")

    def of(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build.time, "sleep", lambda seconds: None)


@pytest.fixture
def bench(tmp_path: Path) -> Callable[..., Bench]:
    return lambda *answers, **options: Bench(tmp_path, answers, **options)


def test_a_sound_day_is_built_once_and_tested_once(bench: Callable[..., Bench]) -> None:
    day = bench([MODEL], [PASSED])
    day.run()
    assert day.dbt.names == ["transform", "test"]
    (decision,) = day.of(DecisionTaken)
    assert (decision.phase, decision.decision, decision.outcome) == ("validate", "publish", "the goal is met")


def test_a_passing_failure_is_retried_and_only_what_failed(bench: Callable[..., Bench]) -> None:
    broken = node("int_events_checked", "error", message="could not serialize access due to concurrent update")
    day = bench([broken], [MODEL], [PASSED])
    day.run()
    assert day.dbt.names == ["transform", "transform-try-2", "test"]
    assert day.dbt.asked[1][1][1:3] == ["--select", "int_events_checked+"]
    assert [event.selected for event in day.of(DbtRetried)] == ["int_events_checked+"]
    assert day.of(DecisionTaken)[0].outcome == "succeeded"


def test_a_deterministic_failure_escalates_at_once(bench: Callable[..., Bench]) -> None:
    day = bench([node("int_events_checked", "error", message="column does not exist")])
    with pytest.raises(EscalationError) as caught:
        day.run()
    assert day.dbt.names == ["transform"]
    assert "column does not exist" in caught.value.observed
    assert caught.value.subjects == ("int_events_checked",)


def test_a_remedy_that_is_not_understood_escalates(bench: Callable[..., Bench]) -> None:
    day = bench(
        [MODEL], nodes={"test.a": {"resource_type": "test", "name": "a", "config": {"meta": {"remedy": "clense"}}}}
    )
    with pytest.raises(EscalationError) as caught:
        day.run()
    assert day.dbt.names == ["transform"]
    assert "'clense', not one of cleanse, escalate, report" in caught.value.observed
    assert caught.value.phase == "transform"


def test_three_tries_are_all(bench: Callable[..., Bench]) -> None:
    died = DbtError("the worker died", died=True)
    day = bench(died, died, died)
    with pytest.raises(EscalationError):
        day.run()
    assert day.dbt.names == ["transform", "transform-try-2", "transform-try-3"]


def test_a_hung_dbt_is_not_asked_again(bench: Callable[..., Bench]) -> None:
    day = bench(DbtError("stopped after 60 s", hung=True))
    with pytest.raises(EscalationError) as caught:
        day.run()
    assert day.dbt.names == ["transform"]
    assert "change the deadline in goal.md" in caught.value.recommendation


def test_what_can_be_corrected_is_cleansed_rebuilt_and_measured_again(bench: Callable[..., Bench]) -> None:
    day = bench([MODEL], [PASSED, CORRECTABLE], [MODEL, PASSED, CORRECTED], out_of_range=(1_500, 300))
    day.run()
    name, arguments, variables = day.dbt.asked[2]
    assert (name, variables["cleansing_tier"], variables["iteration"]) == ("iteration-1", 1, 1)
    assert "int_corrections_in_force+" in arguments
    assert [event.tier for event in day.of(CleansingStarted)] == [1]
    assert day.of(DecisionTaken)[0].outcome.startswith("1,200 records corrected")
    assert day.state.figures["s3"].out_of_range == 300


def test_a_remedy_that_makes_something_worse_is_undone(bench: Callable[..., Bench]) -> None:
    day = bench(
        [MODEL],
        [PASSED, CORRECTABLE],
        [MODEL, node("accuracy_meets_threshold", "fail", failures=1, dimension="accuracy"), CORRECTED],
        [MODEL, PASSED, CORRECTABLE],
        out_of_range=(1_500, 1_800, 1_500),
    )
    day.run()
    assert day.dbt.names[2:] == ["iteration-1", "rollback-2"]
    assert day.dbt.asked[3][2]["cleansing_tier"] == 0
    assert day.dbt.asked[3][2]["cleansing_tiers_undone"] == [1]
    (undone,) = day.of(CleansingUndone)
    assert "accuracy (98.5% to 98.2%)" in undone.outcome
    assert [one.decision for one in day.of(DecisionTaken)][1:] == ["roll back tier 1", "publish"]


def test_a_remedy_that_can_t_be_undone_escalates(bench: Callable[..., Bench]) -> None:
    worse = node("accuracy_meets_threshold", "fail", failures=1, dimension="accuracy")
    day = bench(
        [MODEL], [PASSED, CORRECTABLE], [MODEL, worse, CORRECTED], [MODEL, worse], out_of_range=(1_500, 1_800, 1_800)
    )
    with pytest.raises(EscalationError) as caught:
        day.run()
    assert caught.value.reason == "a rule made the day worse and could not be undone"


def test_a_criterion_without_a_test_holds_the_day_back_too(bench: Callable[..., Bench]) -> None:
    day = bench([MODEL], [PASSED], out_of_range=(50_000,))
    with pytest.raises(EscalationError) as caught:
        day.run()
    assert "accuracy is 50%, limit ≥ 98%" in caught.value.observed


def test_the_load_date_the_run_and_the_goal_reach_every_invocation(bench: Callable[..., Bench]) -> None:
    day = bench([MODEL], [PASSED])
    day.run()
    for _, _, variables in day.dbt.asked:
        assert (variables["load_date"], variables["run_id"]) == ("2025-11-16", "r1")
        assert variables["accuracy_threshold"] == 0.98
