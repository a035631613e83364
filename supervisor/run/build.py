"""The loop over dbt: observe, judge, decide, act, observe again, until the goal is met or nothing allowed is left.

Judging and deciding are pure and live elsewhere; everything that is done to the day between its raw records and the
publish is done here: building, testing, retrying what failed for a passing reason, cleansing, and undoing what made
something worse.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from loaders.retry import MAX_TRIES
from supervisor.common.text import share
from supervisor.dbt.artifacts import NodeResult
from supervisor.dbt.client import Dbt, DbtError
from supervisor.judge.findings import Finding, broken_invocation, judge, newly_broken, remedy_problems, worsened
from supervisor.judge.policy import Allowance, Decision, Step, decide
from supervisor.record.events import CleansingStarted, CleansingUndone, DbtRetried
from supervisor.run import advice
from supervisor.run.outcome import EscalationError
from supervisor.run.state import RunState
from supervisor.warehouse.retry import pause_s

MAX_ITERATIONS = 3
# an iteration builds and tests a part of the day: until one was measured, so many times what testing all of it took
ITERATION_TESTS = 2.0


@dataclass(frozen=True)
class _Command:
    """A dbt command; `select` None is everything that it would do anyway."""

    verb: str
    select: str | None = None
    options: tuple[str, ...] = ()

    def arguments(self) -> list[str]:
        selection = ["--select", *self.select.split()] if self.select else []
        return [self.verb, *selection, *self.options]


BUILD = _Command("build", options=("--exclude-resource-type", "test", "--exclude-resource-type", "unit_test"))
TEST = _Command("test", options=("--exclude-resource-type", "unit_test"))
# published tables' day views stand on what is rebuilt and need no new definition
REBUILD = _Command(
    "build", options=("--exclude-resource-type", "unit_test", "--exclude", "config.materialized:day_partition")
)


class BuildLoop:
    """Builds and measures the day with dbt; `transform` first, then `validate`.

    Args:
        read_figures: Reads the day's figures into the state.

    Attributes:
        results: The newest result of each node.
        history: The remedies tried so far.
    """

    def __init__(self, state: RunState, dbt: Dbt, read_figures: Callable[[], None]) -> None:
        self._state, self._dbt, self._read_figures, self._clock = state, dbt, read_figures, state.clock
        self.results: dict[str, NodeResult] = {}
        self.history: list[Step] = []
        self._tier = 0
        self._undone: list[int] = []
        self._iteration = 0
        self._iteration_s = 0.0
        self._artifacts = ""
        self._skipped: list[str] = []

    # ---------------------------------------------------------------- the two phases

    def transform(self) -> None:
        """Build everything from staging to the day's views, and read what came of it.

        Raises:
            EscalationError: It can't be built.
        """
        self._carry_out("transform", "transform", BUILD)
        problems = remedy_problems(self._state.nodes)
        if problems:
            raise EscalationError(
                "transform",
                "; ".join(problems),
                "a test asks for a remedy that can't be understood",
                "correct the test's meta in its yml file, then run the same command",
                problems,
            )
        self._measure()

    def validate(self) -> None:
        """Test the day, cleanse it as far as that helps, and hold it against every criterion of the goal.

        Raises:
            EscalationError: The goal is not met and nothing allowed is left to try.
        """
        started = time.monotonic()
        self._carry_out("validate", "test", TEST)
        self._iteration_s = ITERATION_TESTS * (time.monotonic() - started)
        self._count_duplicates()
        while True:
            decision = decide(judge(self.results.values(), self._unmet()), self.history, self._allowance("validate"))
            if decision.action != "cleanse":
                break
            self._cleanse(decision)
        observed = self._with_figures(decision)
        if decision.action != "publish":
            raise EscalationError("validate", observed, decision.reason, self._recommendation(), decision.subjects)
        self._state.decide("validate", observed, "publish", decision.reason)
        self._check_gates()

    # ---------------------------------------------------------------- acting

    def _cleanse(self, decision: Decision) -> None:
        """Apply one tier of rules and measure again; undo it when something got worse."""
        tier = decision.tier
        assert tier is not None
        results, measured, observed = dict(self.results), dict(self._state.measured), self._with_figures(decision)
        self._state.emit(CleansingStarted(tier, decision.reason))
        started = time.monotonic()
        tier_before, self._tier = self._tier, max(self._tier, tier)
        worse: list[str] = []
        try:
            self._rebuild("iteration", decision)
        except EscalationError as error:
            # a rule that breaks the build is one that makes things worse
            worse.append(error.observed)
        self._iteration_s = time.monotonic() - started
        worse += newly_broken(results, self.results) + self._worsened(measured)
        step = Step(tier, _rows(results, tier), _rows(self.results, tier), rolled_back=bool(worse))
        self.history.append(step)
        outcome = f"{step.gained:,} records corrected; {self._accuracy()}"
        if worse:
            outcome = f"made worse: {', '.join(worse)}"
        self._state.decide("validate", observed, f"cleanse: {decision.reason}", outcome)
        if worse:
            self._tier = tier_before
            self._undone.append(tier)
            self._roll_back(decision, results, measured, outcome)

    def _roll_back(
        self, decision: Decision, results: Mapping[str, NodeResult], measured: Mapping[str, Any], observed: str
    ) -> None:
        """Build the day again without the tier, and make sure that it is as it was."""
        self._state.emit(CleansingUndone(decision.tier or 0, observed))
        self._rebuild("rollback", decision)
        left = newly_broken(results, self.results) + self._worsened(measured)
        said = f"still worse: {', '.join(left)}" if left else "everything is as it was before"
        self._state.decide("validate", f"tier {decision.tier} {observed}", f"roll back tier {decision.tier}", said)
        if left:
            raise EscalationError(
                "validate",
                f"tier {decision.tier} {observed}; after the rollback {said}",
                "a rule made the day worse and could not be undone",
                "take the rule out of the corrections in the mart's yml, or the remedy out of the test's yml, then run the "
                "same command",
                left,
            )

    def _rebuild(self, name: str, decision: Decision) -> None:
        """Build what stands on the remedy, test it and measure, as a new iteration of the scores."""
        self._iteration += 1
        name = f"{name}-{self._iteration}"
        self._carry_out("validate", name, replace(REBUILD, select=decision.select))
        if self._skipped:
            # dbt builds nothing on a model whose test failed, but what it is worth must be measured all the same
            self._carry_out("validate", f"{name}-rest", replace(BUILD, select=" ".join(self._skipped)))
            self._carry_out("validate", f"{name}-test", replace(TEST, select=decision.select))
        self._measure()

    def _carry_out(self, phase: str, name: str, command: _Command) -> None:
        """Run a dbt command; what fails for a passing reason is tried again, and only that.

        Raises:
            EscalationError: It fails for good.
        """
        tries = 0
        retried: Decision | None = None
        while True:
            tries += 1
            started = time.monotonic()
            broken = self._invoke(phase, name if tries == 1 else f"{name}-try-{tries}", command)
            if retried is not None:
                self._state.decide(
                    phase, retried.observed, _retry_words(retried), "failed again" if broken else "succeeded"
                )
            if not broken:
                return
            granted = self._clock.retries(phase, tries, time.monotonic() - started) if tries < MAX_TRIES else 0
            decision = decide(broken, self.history, self._allowance(phase, granted))
            if decision.action != "retry":
                raise EscalationError(
                    phase,
                    decision.observed,
                    decision.reason,
                    advice.fix_dbt(self._dbt.folder, self._artifacts, broken),
                    decision.subjects,
                )
            self._state.emit(DbtRetried(decision.select, decision.observed))
            time.sleep(pause_s(tries))
            retried, command = decision, replace(command, select=decision.select or command.select)

    def _invoke(self, phase: str, name: str, command: _Command) -> list[Finding]:
        """Run dbt once and take in its results; returns what could not run."""
        variables = {
            **self._state.goal.enforced_vars(),
            "load_date": self._state.request.date.isoformat(),
            "run_id": self._state.run_id,
            "publish": "together",
            "cleansing_tier": self._tier,
            "cleansing_tiers_undone": self._undone,
            "iteration": self._iteration,
        }
        self._artifacts = name
        try:
            invocation = self._dbt.invoke(name, command.arguments(), variables, self._clock.remaining(phase))
        except DbtError as error:
            return [broken_invocation(str(error), hung=error.hung, died=error.died)]
        self._state.nodes = invocation.nodes
        self._skipped = [r.name for r in invocation.results if r.status == "skipped" and not r.is_test]
        self.results.update({result.unique_id: result for result in invocation.results if result.status != "skipped"})
        return [finding for finding in judge(invocation.results) if finding.kind == "error"]

    # ---------------------------------------------------------------- observing

    def _measure(self) -> None:
        """Take the day's figures as they are now."""
        self._read_figures()
        self._count_duplicates()

    def _count_duplicates(self) -> None:
        uniqueness = [r for r in self.results.values() if r.is_test and r.meta.get("dimension") == "uniqueness"]
        if uniqueness:
            self._state.measured["duplicates_published"] = sum(result.failures or 0 for result in uniqueness)

    def _worsened(self, before: Mapping[str, Any]) -> list[str]:
        now = self._state.measured
        return [f"{metric} ({advice.change(metric, before, now)})" for metric in worsened(before, now)]

    def _accuracy(self) -> str:
        measured = self._state.measured.get("accuracy")
        return "" if measured is None else f"accuracy is now {share(measured)}"

    def _with_figures(self, decision: Decision) -> str:
        """The evidence, with the figure and the limit of every criterion that is not met, and where it was read."""
        observed = [decision.observed, *(text for text in self._unmet().values() if text not in decision.observed)]
        return f"{'; '.join(observed)} [dbt/{self._dbt.count}-{self._artifacts}]"

    def _unmet(self) -> dict[str, str]:
        """The figure beside the limit of every criterion that is not met, by its name."""
        return {one.criterion.name: advice.unmet(one) for one in self._state.unmet(gates=True)}

    def _check_gates(self) -> None:
        """Hold the figures against the goal itself: criteria without a dbt test count as well."""
        unmet = self._unmet()
        if unmet:
            raise EscalationError(
                "validate",
                "; ".join(unmet.values()),
                "no correction is known for it",
                self._recommendation(),
                list(unmet),
            )

    def _recommendation(self) -> str:
        metrics = dict.fromkeys(str(one.criterion.metric) for one in self._state.unmet(gates=True))
        return advice.recommendation(list(metrics), self._state.request)

    def _allowance(self, phase: str, retries: int = 0) -> Allowance:
        return Allowance(
            iterations=MAX_ITERATIONS - len(self.history),
            retries=retries,
            seconds=self._clock.remaining(phase),
            iteration_seconds=self._iteration_s,
        )


def _rows(results: Mapping[str, NodeResult], tier: int) -> int:
    """Rows that the tier's remedies could still correct."""
    return sum(
        result.failures or 0
        for result in results.values()
        if result.meta.get("remedy") == "cleanse" and result.meta.get("tier") == tier
    )


def _retry_words(decision: Decision) -> str:
    nodes: Sequence[str] = (decision.select or "").split()
    return f"retry {', '.join(node.removesuffix('+') for node in nodes)} and what stands on it" if nodes else "retry"
