"""What must hold after a situation, beside its exit code, its decisions and its figures."""

from __future__ import annotations

import json
import os
from collections.abc import Callable

from end_to_end.helpers import GOLDEN_DAY, rows
from end_to_end.situations import Outcome, decisions_of, raw_counts


def loaded(*sources: str) -> Callable[[Outcome], None]:
    def check(outcome: Outcome) -> None:
        found = outcome.run.summary["sources"]
        assert {name for name, source in found.items() if source["status"] == "loaded"} == set(sources)
        assert all(source["reason"] for source in found.values() if source["status"] != "loaded")

    return check


def repaired_by(command: str) -> Callable[[Outcome], None]:
    def check(outcome: Outcome) -> None:
        assert outcome.run.summary["repair_command"] == command
        assert command in outcome.run.errors

    return check


def raw_is_kept(outcome: Outcome) -> None:
    """Sources that fail keep the rows of their last load."""
    assert raw_counts(outcome.folder) == {"s3": 2_500, "postgres": 750, "api": 150}


def used_the_fallback(outcome: Outcome) -> None:
    assert outcome.run.summary["sources"]["api"]["fallback"] is True


def unread_files_are_quarantined(outcome: Outcome) -> None:
    found = rows(outcome.folder, "select count(*) from quarantine.quarantined_records where source_row = 0")
    assert found == [(2,)]


def orphans_are_quarantined(outcome: Outcome) -> None:
    sql = "select count(*) from quarantine.quarantined_records where ',' || reasons || ',' like '%,orphan_user,%'"
    assert rows(outcome.folder, sql)[0][0] >= 10
    assert outcome.run.summary["consistency"] == 1


def scores(outcome: Outcome, table: str = "quality.quality_scores") -> dict[int, int]:
    """Records out of range by iteration."""
    found = rows(
        outcome.folder,
        f"select iteration, sum(failed) from {table} where dimension = 'accuracy' "
        f"and run_id = '{outcome.run.summary['run_id']}' group by iteration order by iteration",
    )
    return {iteration: int(failed) for iteration, failed in found}


def cleansed(before: int, after: int) -> Callable[[Outcome], None]:
    def check(outcome: Outcome) -> None:
        assert scores(outcome) == {0: before, 1: after}
        corrected = "select count(*) from quality.corrections where field = 'amount' and run_id = "
        assert rows(outcome.folder, f"{corrected}'{outcome.run.summary['run_id']}'") == [(before - after,)]

    return check


def explained(metric: str, offender: str) -> Callable[[Outcome], None]:
    """An escalation tells the figure, the threshold, the worst offenders and what to do; its scores are kept."""

    def check(outcome: Outcome) -> None:
        escalation = outcome.run.summary["escalation"]
        assert escalation["metric"] == metric
        assert escalation["current"] is not None
        assert escalation["threshold"] is not None
        assert metric in escalation["reason"]
        assert offender in " | ".join(escalation["offenders"])
        assert "python orchestrate.py --date" in escalation["recommendation"]
        kept = scores(outcome, table="metadata.unpublished_scores")
        assert len(kept) == 1 + sum(decision.startswith("cleanse") for _, decision in decisions_of(outcome))
        page = (outcome.folder / outcome.run.summary["report"]).read_text()
        assert offender.split(" (")[0].split(",")[-1].strip() in page
        assert "Worst offenders: " in outcome.run.errors

    return check


def told(*words: str) -> Callable[[Outcome], None]:
    """The decisions say these words."""

    def check(outcome: Outcome) -> None:
        text = json.dumps(outcome.run.summary["decisions"])
        assert [word for word in words if word not in text] == []

    return check


def rolled_back(outcome: Outcome) -> None:
    """The careless tier and the broken one were measured, undone and left out."""
    told("made worse", "what_is_said_of_a_record_holds", "broken", "everything is as it was before")(outcome)
    # 2 took what it doubled for corrected, 4 could not be built
    assert scores(outcome) == {0: 35, 1: 23, 2: 10, 3: 23, 5: 23}
    assert {
        rule
        for (rule,) in rows(outcome.folder, "select distinct rule_id from quality.corrections where field = 'amount'")
    } == {
        "sign_flipped",
        "minor_unit",
    }


def stopped_in_time(seconds: float) -> Callable[[Outcome], None]:
    def check(outcome: Outcome) -> None:
        assert outcome.run.summary["duration_s"] < seconds

    return check


def too_late(outcome: Outcome) -> None:
    (deadline,) = [one for one in outcome.run.summary["criteria"] if one["metric"] == "duration_s"]
    assert deadline["met"] is False
    assert deadline["measured"] > deadline["threshold"]


def without_report(outcome: Outcome) -> None:
    assert outcome.run.summary["report"] is None
    assert (outcome.run_dir / "summary.json").exists()


def engine_got_its_limits(outcome: Outcome) -> None:
    # three fifths of 200 MB, since the days before it were small
    assert rows(outcome.folder, "select memory, threads from intermediate.int_engine") == [
        ("114.4 MiB", min(4, len(os.sched_getaffinity(0))))
    ]
    used = outcome.run.summary["peak_memory_mb"]
    (memory,) = [one for one in outcome.run.summary["criteria"] if one["metric"] == "peak_memory_mb"]
    assert (memory["threshold"], memory["met"]) == (200, False)
    assert used > 200


def published_the_same(outcome: Outcome) -> None:
    """Another run has published the bytes that were there before; the raw records were replaced."""
    assert rows(
        outcome.folder, f"select distinct run_id from analytics.events where load_date = date '{GOLDEN_DAY}'"
    ) == [(outcome.run.summary["run_id"],)]
    assert outcome.before
    assert outcome.days() == outcome.before
    todays = f"select count(distinct load_id), count(*) from raw_s3.events where load_date = date '{GOLDEN_DAY}'"
    assert rows(outcome.folder, todays) == [(1, 2_500)]


def both(*checks: Callable[[Outcome], None]) -> Callable[[Outcome], None]:
    def check(outcome: Outcome) -> None:
        for one in checks:
            one(outcome)

    return check
