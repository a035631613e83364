"""The day of the origin's transcript, end to end."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import duckdb
import pytest
from end_to_end.helpers import GOLDEN_DAY, SCALE, YESTERDAY, Run, load_day, rows
from recorded import INVOCATIONS, cut_down, keys_of, recorded

BY_SOURCE = {
    # DESIGN, section 7: collected, quarantined, transformed, defaults, missing, out of range, corrected, duplicates,
    # anomalies, published
    "s3": (250_000, 3_800, 246_200, 1_500, 2_300, 1_000, 800, 1_200, 180, 245_000),
    "postgres": (75_000, 1_000, 74_000, 800, 700, 350, 280, 500, 55, 73_500),
    "api": (15_000, 300, 14_700, 200, 200, 150, 120, 100, 15, 14_600),
}
TOTALS = {
    "collected": 340_000,
    "quarantined": 5_100,
    "transformed": 334_900,
    "defaults_applied": 2_500,
    "missing_required": 3_200,
    "out_of_range": 1_500,
    "corrected": 1_200,
    "flagged": 300,
    "duplicates": 1_800,
    "anomalies": 250,
    "published": 333_100,
    "type_conversions": 12,
}


def test_it_succeeds_with_every_figure_of_the_transcript(golden: Run) -> None:
    assert golden.exit_code == 0, golden.errors
    summary = golden.summary
    assert summary["status"] == "SUCCESS"
    assert {key: summary[key] for key in TOTALS} == TOTALS
    assert round(summary["completeness"], 4) == 0.9904
    assert round(summary["accuracy"], 4) == 0.9991
    assert summary["consistency"] == 1
    assert summary["failure_rate"] == 0.015
    assert summary["sources"]["api"]["tries"] == 2


def test_each_sources_figures_stand_in_the_tables(golden: Run) -> None:
    found = rows(
        golden.folder,
        "select source, count_collected, count_quarantined, count_transformed, count_defaulted, missing.failed, "
        "out_of_range.failed_before_corrections, count_corrected, count_duplicates, count_anomalies, count_published "
        "from intermediate.int_day_figures inner join intermediate.int_quality_scores as missing using (entity, source) "
        "inner join intermediate.int_quality_scores as out_of_range using (entity, source) where missing.iteration = 1 "
        "and missing.dimension = 'completeness' and out_of_range.iteration = 1 and out_of_range.dimension = 'accuracy'",
    )
    assert {source: tuple(figures) for source, *figures in found} == BY_SOURCE


def test_the_published_tables_hold_what_the_summary_says(golden: Run) -> None:
    published = rows(golden.folder, "select source, count(*) from analytics.events group by source")
    assert dict(published) == {source: figures[-1] for source, figures in BY_SOURCE.items()}
    assert rows(golden.folder, "select count(*), count(distinct event_id) from analytics.events") == [
        (333_100, 333_100)
    ]
    assert rows(golden.folder, "select count(*) from quarantine.quarantined_records where status = 'open'") == [
        (5_100,)
    ]
    assert rows(golden.folder, "select count(*) from analytics.events where not is_in_range") == [(300,)]
    assert rows(golden.folder, "select count(*) from analytics.events where is_anomaly") == [(250,)]
    assert rows(golden.folder, "select count(*) from analytics.events where not is_complete") == [(3_200,)]
    corrected = "select count(*) from quality.corrections where field = 'amount'"
    assert rows(golden.folder, corrected) == [(1_200,)]
    assert rows(golden.folder, "select count(*) from metadata.lineage") == [(3,)]
    assert rows(golden.folder, "select status, count_published from metadata.pipeline_runs") == [("SUCCESS", 333_100)]


def test_every_quarantined_record_keeps_its_payload_and_its_reasons(golden: Run) -> None:
    assert rows(
        golden.folder, "select count(*) from quarantine.quarantined_records where reasons is null or reasons = ''"
    ) == [(0,)]
    # the payload itself may be what is missing
    without = "select distinct reasons from quarantine.quarantined_records where payload is null"
    assert rows(golden.folder, without) == [("payload_not_json",)]
    kinds = rows(
        golden.folder, "select distinct unnest(string_split(reasons, ',')) from quarantine.quarantined_records"
    )
    assert {kind for (kind,) in kinds} == {
        "event_id_missing",
        "payload_not_json",
        "user_id_unparsable",
        "occurred_at_unparsable",
        "amount_unparsable",
        "quantity_unparsable",
        "event_type_unknown",
        "orphan_user",
    }


def test_a_correction_says_what_was_there_and_raw_keeps_it(golden: Run) -> None:
    wrong = """
        select count(*) from quality.corrections as c
        inner join analytics.events as e on c.record_key = e.event_id
        where c.field = 'amount' and (cast(c.value_after as decimal(18, 2)) <> e.amount or e.correction_count = 0)
    """
    assert rows(golden.folder, wrong) == [(0,)]
    original = """
        select count(*) from quality.corrections as c
        inner join raw_s3.events as r on c.source_object = r.source_object and c.source_row = r.source_row
        where c.source = 's3' and c.field = 'amount' and try_cast(r.amount as decimal(18, 2)) = cast(c.value_before as decimal(18, 2))
    """
    assert rows(golden.folder, original) == [(800,)]


def test_scores_are_kept_per_iteration(golden: Run) -> None:
    found = rows(
        golden.folder,
        "select iteration, sum(attempted), sum(failed) from quality.quality_scores where dimension = 'accuracy' "
        "group by iteration order by iteration",
    )
    assert found == [(0, 334_900, 1_500), (1, 334_900, 300)]


def test_decisions_are_recorded_with_their_evidence(golden: Run) -> None:
    decisions = golden.summary["decisions"]
    assert [(d["phase"], d["decision"].split(":")[0]) for d in decisions] == [
        ("collect", "retry in 2 s"),
        ("validate", "cleanse"),
        ("validate", "publish"),
    ]
    assert "1,200 rows" in decisions[1]["observed"]
    assert decisions[1]["outcome"].startswith("1,200 records corrected")
    assert rows(golden.folder, "select count(*) from metadata.decisions") == [(3,)]


def test_the_run_leaves_summary_artifacts_and_report(golden: Run) -> None:
    summary = golden.summary
    run_dir = golden.folder / "runs" / summary["run_id"]
    assert json.loads((run_dir / "summary.json").read_text()) == summary
    assert len((run_dir / "decisions.jsonl").read_text().splitlines()) == 3
    invocations = sorted(path.name for path in (run_dir / "dbt").iterdir() if path.is_dir())
    assert invocations == ["1-transform", "2-test", "3-iteration-1"]
    assert all((run_dir / "dbt" / name / "run_results.json").exists() for name in invocations)
    page = (golden.folder / summary["report"]).read_text()
    assert "333,100" in page
    assert not re.search(r"""(src|href)=["']?https?://""", page)


def test_the_raw_data_is_archived_with_checksums(golden: Run) -> None:
    archive = golden.folder / "archive" / "2025" / "11" / "16"
    manifest = json.loads((archive / "manifest.json").read_text())
    assert set(manifest["sources"]) == {"s3", "postgres", "api"}
    assert len(manifest["sources"]["s3"]["files"]) == 15
    for source, entry in manifest["sources"].items():
        assert entry["files"], source
        for file in entry["files"]:
            content = (archive / source / file["path"]).read_bytes()
            assert hashlib.sha256(content).hexdigest() == file["sha256"]
            assert len(content) == file["size"]


def test_a_second_run_has_nothing_to_do(golden: Run) -> None:
    again = load_day(golden.folder)
    assert again.exit_code == 0
    assert again.summary["status"] == "NOTHING_TO_DO"
    assert rows(golden.folder, "select count(*) from metadata.pipeline_runs") == [(1,)]


def assert_adds_up(summary: dict[str, Any]) -> None:
    for part in (summary, *summary["sources"].values()):
        assert part["collected"] == part["published"] + part["quarantined"] + part["duplicates"]


def test_another_day_has_its_own_figures_and_adds_up(small: Run) -> None:
    ((kept,),) = rows(small.folder, f"select summary from metadata.pipeline_runs where load_date = date '{YESTERDAY}'")
    yesterday = json.loads(kept)
    assert (yesterday["date"], yesterday["status"]) == (YESTERDAY, "SUCCESS")
    assert yesterday["quarantined"] != small.summary["quarantined"]
    assert_adds_up(yesterday)
    assert_adds_up(small.summary)


@pytest.mark.soak
@pytest.mark.parametrize("day", ["2025-11-17", "2024-02-29"])
def test_other_days_have_their_own_figures_and_add_up(folder: Path, day: str) -> None:
    run = load_day(folder, day=day, scale=SCALE)
    assert run.exit_code == 0, run.errors
    assert (run.summary["date"], run.summary["status"]) == (day, "SUCCESS")
    assert_adds_up(run.summary)


def test_the_warehouse_is_one_file_that_others_can_read(golden: Run) -> None:
    with duckdb.connect(str(golden.folder / "warehouse.duckdb"), read_only=True) as connection:
        types = dict(
            connection.execute(
                "select column_name, data_type from information_schema.columns "
                "where table_schema = 'analytics' and table_name = 'events'"
            ).fetchall()
        )
    assert types["occurred_at"] == "TIMESTAMP WITH TIME ZONE"
    assert types["amount"] == "DECIMAL(18,2)"
    assert GOLDEN_DAY in golden.output


@pytest.mark.parametrize("invocation", INVOCATIONS)
def test_dbt_writes_its_artifacts_as_those_that_the_tests_of_the_judge_have(golden: Run, invocation: str) -> None:
    folder = golden.folder / "runs" / golden.summary["run_id"] / "dbt" / invocation
    written = cut_down(folder)
    assert keys_of(written) == keys_of(recorded(invocation))
    assert {name: one["metadata"]["dbt_schema_version"] for name, one in written.items()} == {
        name: one["metadata"]["dbt_schema_version"] for name, one in recorded(invocation).items()
    }
