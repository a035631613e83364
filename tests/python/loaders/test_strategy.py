"""What the plan says of a source is what its loader is given, and what the run's summary records."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from loader_helpers import DAY, ROOT

from supervisor.goal.compile import load_goal
from supervisor.plan.plan import make_plan, render_plan
from supervisor.record.figures import figures_of_summary
from supervisor.run.collect import Collector

KINDS = {"api": "rest_api", "postgres": "postgres", "s3": "s3"}


def test_the_loaders_use_what_the_plan_says_and_the_summary_records_it(
    configured: dict[str, str], tmp_path: Path
) -> None:
    plan = make_plan(load_goal(ROOT / "goal.md"), KINDS, {"s3": [2_500_000], "postgres": [750]})
    # small enough for a small day to be cut
    sources = tuple(
        replace(source, batch_bytes=size) for source, size in zip(plan.sources, (10**7, 50_000, 90_000), strict=True)
    )
    plan = replace(plan, sources=sources)
    collector = Collector(
        run_dir=tmp_path, run_id="run-1", day=DAY, target="duckdb", sources=list(KINDS), budget_s=60, plan=plan
    )
    outcomes = collector.run(lambda event: None)
    recorded = figures_of_summary({}, {}, outcomes, {})["sources"]
    for source in plan.sources:
        used = recorded[source.name]["strategy"]
        assert (used["name"], used["batch_bytes"]) == (source.strategy, source.batch_bytes)
        assert 0 < used["largest_batch_bytes"] <= source.batch_bytes
    assert [recorded[name]["strategy"]["name"] for name in KINDS] == ["chunks", "in_memory", "chunks"]
    assert recorded["api"]["strategy"]["batches"] == 1
    assert recorded["s3"]["strategy"]["batches"] > 3


def test_the_plan_prints_what_it_hands_on() -> None:
    plan = make_plan(load_goal(ROOT / "goal.md"), KINDS, {"s3": [2_500_000], "postgres": [750]})
    text = " ".join(render_plan(plan).split())
    for source in plan.sources:
        assert f"{source.batch_bytes // 1024**2} MiB" in text.split(f"- {source.name}", 1)[1].split(" - ", 1)[0]
