"""Collecting: runs the loaders' process, passes on what it says, and returns what came of each source."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from loaders.contract import describe
from supervisor.common.errors import UsageError
from supervisor.common.files import write_json
from supervisor.common.processes import Child, ChildTimeoutError, Errand
from supervisor.common.text import listed
from supervisor.plan.plan import Plan
from supervisor.record.events import AttemptFailed, Emit, FellBack, SourceFinished, SourceProgress, SourceStarted
from supervisor.record.history import KnownColumns
from supervisor.record.ledger import LoadOutcome

Start = Callable[[Sequence[str], Path], Child | Errand]
_LOADERS: Start = partial(Child, "loaders")
_ON_DRIFT = {"discard": "reject the records that have a value in an unknown column"}
_NOTHING_KNOWN: Mapping[str, KnownColumns] = {}


class Collector:
    """One run of `python -m loaders`.

    Args:
        budget_s: Seconds for the whole phase; a source that is not done by then has failed.
        start: Starts the loaders, from their arguments and the path of their log.
        references_only: Read the sources' reference tables and no records of the day.
        known: Columns of the sources' last good loads; what has changed since is told.
        plan: Says how much of each source is handed over at once; without one the loaders' own default holds.
    """

    def __init__(
        self,
        *,
        run_dir: Path,
        run_id: str,
        day: date,
        target: str,
        sources: Sequence[str],
        budget_s: float,
        start: Start = _LOADERS,
        references_only: bool = False,
        known: Mapping[str, KnownColumns] = _NOTHING_KNOWN,
        plan: Plan | None = None,
    ) -> None:
        self._day, self._known = day, known
        self._run_id = run_id
        self._sources = tuple(sources)
        self._budget_s = budget_s
        self._planned = {source.name: source for source in plan.sources if source.name in sources} if plan else {}
        self._titles: dict[str, str] = {}
        self._locations: dict[str, str] = {}
        self._failures: dict[str, list[Mapping[str, Any]]] = {}
        self._fallbacks: dict[str, str] = {}
        self._decisions: list[tuple[str, str, str]] = []
        known_columns = run_dir / "known_columns.json"
        if known:
            write_json(known_columns, {name: one.columns for name, one in known.items() if name in sources})
        self._child = start(
            [
                *("--date", day.isoformat(), "--run-id", run_id, "--target", target, "--workdir", str(run_dir)),
                *("--deadline-s", f"{max(0.1, budget_s):.1f}"),
                *(part for name in sources for part in ("--source", name)),
                *(
                    part
                    for name, source in self._planned.items()
                    for part in ("--batch-bytes", f"{name}={source.batch_bytes}")
                ),
                *(["--references-only"] if references_only else []),
                *(["--known-columns", str(known_columns)] if known else []),
            ],
            run_dir / "loaders.err",
        )

    @property
    def decisions(self) -> list[tuple[str, str, str]]:
        """What the loaders decided by themselves: (observed, decision, outcome) for retries and fallbacks."""
        return self._decisions

    def run(self, emit: Emit) -> dict[str, LoadOutcome]:
        """Follow the loaders until they end, and return what came of every source that was asked for.

        Raises:
            UsageError: A source's configuration is wrong.
        """
        outcomes: dict[str, LoadOutcome] = {}
        problem: str | None = None
        try:
            # the loaders give up by themselves at their deadline; the grace is for loading what has arrived
            for message in self._child.messages(self._budget_s + max(10.0, self._budget_s / 10)):
                if message["event"] == "configuration_error":
                    raise UsageError(message["message"])
                outcome = self._follow(message, emit)
                if outcome is not None:
                    outcomes[outcome.source] = outcome
        except ChildTimeoutError as error:
            problem = str(error)
        if problem is None:
            code = self._child.wait()
            if code != 0 or len(outcomes) < len(self._sources):
                problem = f"the loaders ended with exit code {code}: {self._child.last_words()}"
        for name in self._sources:
            if name not in outcomes:
                outcomes[name] = self._unfinished(name, problem or "the loaders said nothing of it")
                emit(SourceFinished(outcomes[name], is_told=False))
        self._decisions = [decision for name in self._sources for decision in self._decided(name, outcomes[name])]
        return {name: outcomes[name] for name in self._sources}

    def stop(self) -> None:
        """End the loaders at once."""
        self._child.stop()

    def _title(self, name: str) -> str:
        return self._titles.get(name, name)

    def _follow(self, message: Mapping[str, Any], emit: Emit) -> LoadOutcome | None:
        name = message.get("source", "")
        match message["event"]:
            case "source_started":
                # the kind's own name reads best; a source called otherwise keeps its name beside it
                kind = message["title"]
                self._titles[name] = kind if name in (message["kind"], "api") else f"{kind} {name}"
                self._locations[name] = message["location"]
                emit(SourceStarted(name, self._titles[name], message["place"], message["location"]))
            case "attempt_failed":
                self._failures.setdefault(name, []).append(message)
                emit(AttemptFailed(name, message["attempt"], message["error"], message.get("retry_in_s")))
            case "fallback":
                self._fallbacks[name] = message["endpoint"]
                emit(FellBack(name, message["endpoint"]))
            case "source_progress":
                emit(SourceProgress(name, message["text"]))
            case "source_finished":
                outcome = self._finish(name, message)
                emit(SourceFinished(outcome))
                return outcome
        return None

    def _finish(self, name: str, message: Mapping[str, Any]) -> LoadOutcome:
        return LoadOutcome(
            source=name,
            status=message["status"],
            load_id=self._run_id if message["status"] == "loaded" else None,
            location=self._locations.get(name, ""),
            collected=message["collected"],
            rejected=message["rejected"],
            tries=message["tries"],
            reason=message.get("reason"),
            duration_s=message["duration_s"],
            detail={**self._detail(name, message), "title": self._title(name), "fallback": name in self._fallbacks},
            no_data=bool(message.get("no_data")),
            at_warehouse=bool(message.get("at_warehouse")),
        )

    def _detail(self, name: str, message: Mapping[str, Any]) -> dict[str, Any]:
        detail = dict(message.get("detail", {}))
        if name in self._planned and "strategy" in detail:
            # what was planned beside what the loaders measured
            detail["strategy"] = {"name": self._planned[name].strategy, **detail["strategy"]}
        if detail.get("drift"):
            seen = self._known[name].seen
            detail["drift"] = [
                {**change, "since": seen.get(KnownColumns.key(change), self._day).isoformat()}
                for change in detail["drift"]
            ]
        return detail

    def _unfinished(self, name: str, reason: str) -> LoadOutcome:
        return LoadOutcome(
            source=name,
            status="failed",
            load_id=None,
            location=self._locations.get(name, ""),
            collected=0,
            rejected=0,
            tries=max(1, len(self._failures.get(name, []))),
            reason=f"source '{name}': {reason}",
            duration_s=self._budget_s,
            detail={"title": self._title(name), "fallback": False},
        )

    def _decided(self, name: str, outcome: LoadOutcome) -> list[tuple[str, str, str]]:
        decided = []
        for failure in self._failures.get(name, []):
            wait = failure.get("retry_in_s")
            told = f"{failure['error']} {failure.get('detail') or ''}".strip()
            observed = f"source '{name}': attempt {failure['attempt']}: {told}"
            if wait is not None:
                decided.append((observed, f"retry in {wait:.0f} s", _came(outcome)))
        if name in self._fallbacks:
            decided.append(
                (f"source '{name}': primary endpoint failed", f"fall back to {self._fallbacks[name]}", _came(outcome))
            )
        if outcome.loaded and outcome.drift:
            changes = listed([describe(change) for change in outcome.drift])
            chosen = _ON_DRIFT.get(str(outcome.detail.get("schema_contract")), "take it in")
            decided.append((f"source '{name}': {changes}", chosen, _came(outcome)))
        if not outcome.loaded:
            decided.append((outcome.reason or "no reason given", "go on without it", "its records are missing"))
        return decided


def _came(outcome: LoadOutcome) -> str:
    return f"{outcome.collected:,} records collected" if outcome.loaded else f"failed: {outcome.reason}"
