"""From dbt's results to findings; the artifacts are those that dbt wrote of the golden day (see recorded.py)."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from recorded import ARTIFACTS

from supervisor.dbt.artifacts import ArtifactError, NodeResult, published_tables, read_invocation
from supervisor.dbt.entities import declared_entities
from supervisor.judge.findings import broken_invocation, judge, newly_broken, remedy_problems, worsened


def result(status: str, **changes: object) -> NodeResult:
    base = NodeResult("test.goalkeeper.some_test.1", "some_test", "test", status, None, 3, None, {}, 0.1)
    return replace(base, **changes)


@pytest.mark.parametrize(
    ("message", "transient"),
    [
        ('connection to server at "db", port 5432 failed: Connection refused', True),
        ("server closed the connection unexpectedly", True),
        ("SSL connection has been closed unexpectedly", True),
        ("TransactionContext Error: Conflict on tuple deletion!", True),
        ("deadlock detected", True),
        ("could not serialize access due to concurrent update", True),
        ("IO Error: Could not set lock on file", True),
        ("FATAL: the database system is shutting down", True),
        ('Binder Error: Referenced column "amount" not found', False),
        ("permission denied for schema analytics", False),
        ("Compilation Error: 'load_dat' is undefined", False),
        ("division by zero", False),
    ],
)
def test_only_what_a_second_try_can_help_is_transient(message: str, transient: bool) -> None:
    (finding,) = judge([result("error", resource_type="model", message=message)])
    assert (finding.kind, finding.transient) == ("error", transient)


def test_a_failed_test_is_unmet_and_a_warning_is_a_notice() -> None:
    found = judge(
        [result("fail"), result("warn", name="other"), result("pass", name="fine"), result("skipped", name="late")]
    )
    assert [(finding.kind, finding.node) for finding in found] == [("unmet", "some_test"), ("notice", "other")]


def test_a_test_of_a_metric_is_told_by_its_figure_and_any_other_by_its_rows() -> None:
    figures = {"failure_rate": "failure rate is 1.59%, limit < 1%"}
    tests = [
        result("fail", name="a", failures=1, meta={"metric": "failure_rate"}),
        result("fail", name="b", failures=1),
        result("warn", name="c", failures=1_200),
    ]
    assert [finding.evidence for finding in judge(tests, figures)] == [
        "failure rate is 1.59%, limit < 1%",
        "test b failed: 1 row",
        "test c warned: 1,200 rows",
    ]


def test_a_remedy_in_the_tests_meta_makes_it_correctable() -> None:
    meta = {"dimension": "accuracy", "remedy": "cleanse", "tier": 2, "rebuild": "model_a+"}
    (finding,) = judge([result("warn", meta=meta)])
    assert (finding.kind, finding.tier, finding.rebuild, finding.rows) == ("correctable", 2, "model_a+", 3)


def test_the_most_severe_comes_first() -> None:
    cleanse = {"remedy": "cleanse", "tier": 1}
    found = judge(
        [result("warn"), result("warn", meta=cleanse), result("fail"), result("error", resource_type="model")]
    )
    assert [finding.kind for finding in found] == ["error", "unmet", "correctable", "notice"]


def test_worse_is_a_test_that_passed_before_or_failed_with_fewer_rows() -> None:
    before = {
        "a": result("pass"),
        "b": result("fail", failures=3),
        "c": result("fail", failures=3),
        "d": result("pass"),
    }
    after = {
        "a": result("fail", name="a"),
        "b": result("fail", name="b", failures=4),
        "c": result("fail", name="c"),
        "d": result("pass"),
    }
    assert newly_broken(before, after) == ["a", "b"]


def test_an_invocation_that_died_may_live_again_and_one_that_hung_has_no_time() -> None:
    died = broken_invocation("dbt build died: Killed", hung=False, died=True)
    hung = broken_invocation("dbt build was stopped", hung=True, died=False)
    locked = broken_invocation(
        "dbt build wrote no results: IO Error: Could not set lock on file", hung=False, died=False
    )
    broken = broken_invocation("the dbt project can't be parsed: Compilation Error", hung=False, died=False)
    assert [one.transient for one in (died, hung, locked, broken)] == [True, False, True, False]
    assert (hung.hung, died.hung) == (True, False)


@pytest.mark.parametrize(
    ("meta", "problem"),
    [
        ({"dimension": "accuracy"}, None),
        ({"remedy": "report"}, None),
        ({"remedy": "escalate"}, None),
        ({"remedy": "cleanse", "tier": 1, "rebuild": "model_a+"}, None),
        ({"remedy": "clense", "tier": 1, "rebuild": "model_a+"}, "'clense', not one of cleanse, escalate, report"),
        ({"remedy": "cleanse", "rebuild": "model_a+"}, "meta.tier must be a whole number"),
        ({"remedy": "cleanse", "tier": "1", "rebuild": "model_a+"}, "not '1'"),
        ({"remedy": "cleanse", "tier": True, "rebuild": "model_a+"}, "not True"),
        ({"remedy": "cleanse", "tier": 0, "rebuild": "model_a+"}, "not 0"),
        ({"remedy": "cleanse", "tier": 1}, "meta.rebuild must select"),
    ],
)
def test_a_remedy_that_is_not_understood_is_named(meta: dict[str, object], problem: str | None) -> None:
    nodes = {"test.p.a": {"resource_type": "test", "name": "a_test", "config": {"meta": meta}}}
    found = remedy_problems(nodes)
    assert bool(found) == (problem is not None)
    assert problem is None or (problem in found[0] and "a_test" in found[0])


def test_worse_is_also_a_metric_that_moved_the_wrong_way_below_its_threshold() -> None:
    before = {
        "accuracy": Fraction(97, 100),
        "failure_rate": Fraction(3, 100),
        "completeness": None,
        "anomaly_rate": Fraction(0),
    }
    better = {
        "accuracy": Fraction(98, 100),
        "failure_rate": Fraction(2, 100),
        "completeness": Fraction(1, 2),
        "anomaly_rate": Fraction(1),
    }
    assert worsened(before, better) == []
    assert worsened(better, before) == ["failure_rate", "accuracy"]
    assert worsened(before, before) == []


def test_real_artifacts_tell_every_node_and_its_meta() -> None:
    invocation = read_invocation(ARTIFACTS / "2-test")
    assert invocation is not None
    tests = {test.name: test for test in invocation.tests}
    assert tests["accuracy_meets_threshold"].status == "pass"
    first = tests["nothing_left_to_correct_in_tier_1"]
    assert (first.status, first.failures, first.meta["remedy"]) == ("warn", 1_200, "cleanse")
    assert str(first.attached_node).endswith("int_correction_candidates")
    assert [finding.kind for finding in judge(invocation.results)] == ["correctable"]


def test_published_tables_and_entities_come_from_the_manifest() -> None:
    invocation = read_invocation(ARTIFACTS / "1-transform")
    assert invocation is not None
    assert set(published_tables(invocation.nodes)) == {
        "analytics.events",
        "metadata.lineage",
        "quality.corrections",
        "quality.quality_scores",
        "quarantine.quarantined_records",
    }
    (events,) = declared_entities(invocation.nodes).values()
    assert (events.name, events.table, events.key) == ("events", "analytics.events", ("event_id",))
    assert events.conversions == {"stg_s3__events": 4, "stg_postgres__transactions": 4, "stg_api__events": 4}


def test_another_schema_version_is_refused(tmp_path: Path) -> None:
    for name in ("run_results.json", "manifest.json"):
        shutil.copy(ARTIFACTS / "2-test" / name, tmp_path / name)
    content = json.loads((tmp_path / "run_results.json").read_text())
    content["metadata"]["dbt_schema_version"] = "https://schemas.getdbt.com/dbt/run-results/v99.json"
    (tmp_path / "run_results.json").write_text(json.dumps(content))
    with pytest.raises(ArtifactError, match="v99"):
        read_invocation(tmp_path)


def test_no_results_are_no_invocation(tmp_path: Path) -> None:
    assert read_invocation(tmp_path) is None
