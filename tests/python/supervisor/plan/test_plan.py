"""The plan adds up to the deadline, shows where its estimates come from, and touches nothing."""

from __future__ import annotations

import json
import random
from fractions import Fraction
from pathlib import Path

import pytest

from supervisor.goal.compile import Goal, load_goal, parse_goal
from supervisor.plan.budgets import OPTIONAL_WORK, PHASES, PhaseBudgets, share_out
from supervisor.plan.plan import Plan, choose_strategy, make_plan, render_plan

ROOT = Path(__file__).resolve().parents[4]
SOURCES = {"s3": "s3", "postgres": "postgres", "api": "rest_api"}
MIB = 1024**2
GOLDEN = {"s3": [250_000], "postgres": [75_000], "api": [15_000]}


@pytest.fixture(scope="module")
def goal() -> Goal:
    return load_goal(ROOT / "goal.md")


@pytest.fixture(scope="module")
def plan(goal: Goal) -> Plan:
    return make_plan(goal, SOURCES, GOLDEN)


def small_goal(*lines: str, context: str = "") -> Goal:
    bullets = "".join(f"- {line}\n" for line in ("No data loss", *lines))
    return parse_goal(f"## Success Criteria\n{bullets}\n## Context\n{context}\n")


# ---------------------------------------------------------------- budgets of the phases


def test_the_phases_budgets_add_up_to_the_deadline_exactly() -> None:
    for deadline_s in (*range(1, 1_000), 1_799, 1_800, 2_700, 3_601, 86_399, 86_400):
        budgets = share_out(deadline_s)
        assert tuple(budgets) == PHASES
        assert all(seconds > 0 for seconds in budgets.values())
        assert sum(budgets.values()) == deadline_s


def test_the_proportions_are_the_origins() -> None:
    assert share_out(45 * 60) == {"collect": 900, "transform": 900, "validate": 300, "publish": 600}
    assert share_out(30 * 60) == {"collect": 600, "transform": 600, "validate": 200, "publish": 400}
    for deadline_s in range(1, 400):
        for seconds, weight in zip(share_out(deadline_s).values(), (15, 15, 5, 10), strict=True):
            assert abs(Fraction(seconds) - Fraction(deadline_s * weight, 45)) < 1


@pytest.mark.parametrize("deadline_s", [0, -5, 1.5])
def test_a_deadline_that_is_none_is_an_error(deadline_s: int) -> None:
    with pytest.raises(ValueError, match="deadline"):
        share_out(deadline_s)


# ---------------------------------------------------------------- strategy and volume


@pytest.mark.parametrize(
    ("records", "strategy"),
    [(0, "in_memory"), (99_999, "in_memory"), (100_000, "chunks"), (10**10, "chunks"), (None, "chunks")],
)
def test_the_origins_threshold_chooses_the_strategy(records: int | None, strategy: str) -> None:
    assert choose_strategy(records).name == strategy


def test_each_source_gets_its_own_strategy(plan: Plan) -> None:
    assert [(source.name, source.records, source.strategy, source.batch_bytes) for source in plan.sources] == [
        ("s3", 250_000, "chunks", 16 * MIB),
        ("postgres", 75_000, "in_memory", 64 * MIB),
        ("api", 15_000, "in_memory", 64 * MIB),
    ]
    assert plan.records == 340_000


def test_many_small_sources_give_the_engine_more_memory_together(goal: Goal) -> None:
    names = {f"s{number}": "s3" for number in range(11)}
    few = make_plan(goal, names, {name: [9_000] for name in names})
    many = make_plan(goal, names, {name: [99_000] for name in names})
    assert {source.strategy for source in many.sources} == {"in_memory"}
    assert (few.engine.memory_limit_bytes, many.engine.memory_limit_bytes) == (4_800 * 10**6, 6_000 * 10**6)


def test_the_batches_of_all_sources_fit_into_what_the_engine_leaves() -> None:
    draw = random.Random(11)
    for _ in range(200):
        megabytes, number = draw.randrange(128, 64_000), draw.randrange(1, 60)
        names = {f"s{index}": "s3" for index in range(number)}
        volumes = {name: [draw.randrange(2_000_000)] for name in names}
        plan = make_plan(small_goal(f"memory <= {megabytes} MB"), names, volumes)
        left = megabytes * 10**6 - (plan.engine.memory_limit_bytes or 0)
        assert all(source.batch_bytes >= MIB for source in plan.sources)
        # below a mebibyte a batch costs more than it saves
        spare = [source.batch_bytes for source in plan.sources if source.batch_bytes > MIB]
        assert 8 * sum(spare) <= left


def test_the_largest_of_the_last_days_is_the_estimate(goal: Goal) -> None:
    (source,) = make_plan(goal, {"s3": "s3"}, {"s3": [240_000, 260_000, 0]}).sources
    assert source.records == 260_000
    assert source.basis == "largest of the last 3 loaded days"


def test_without_history_the_goals_scale_is_the_estimate(goal: Goal) -> None:
    plan = make_plan(goal, {"s3": "s3", "api": "rest_api"}, {"s3": [10], "api": []})
    assert plan.sources[0].basis == "the last loaded day"
    assert plan.sources[1].records == 550_000
    assert plan.sources[1].strategy == "chunks"
    assert plan.sources[1].basis == "middle of the goal's scale, 100,000 to 1,000,000"


def test_without_history_and_scale_the_volume_is_unknown() -> None:
    plan = make_plan(small_goal(), {"s3": "s3", "api": "rest_api"}, {"s3": [10]})
    assert plan.sources[1].records is None
    assert plan.records is None
    assert plan.sources[1].strategy == "chunks"
    assert "unknown" in render_plan(plan)
    assert plan.as_dict()["records"] is None


def test_the_engine_gets_no_more_threads_than_there_are_cores(goal: Goal) -> None:
    assert make_plan(goal, SOURCES, GOLDEN).engine.threads == 4
    plan = make_plan(goal, SOURCES, GOLDEN, cores=2)
    assert plan.engine.threads == 2
    assert "memory limit 4.8 GB of 8 GB, threads 2" in render_plan(plan)


def test_without_limits_the_engine_keeps_its_own() -> None:
    plan = make_plan(small_goal(), SOURCES, GOLDEN)
    assert plan.as_dict()["engine"] == {"memory_limit_bytes": None, "threads": None, "timeout_s": None}
    assert plan.memory_bytes is None
    assert "memory limit its own default, threads its own default" in render_plan(plan)


def test_a_plan_without_sources_or_with_a_negative_volume_is_an_error(goal: Goal) -> None:
    with pytest.raises(ValueError, match="no source is configured"):
        make_plan(goal, {}, {})
    with pytest.raises(ValueError, match="source 'api': a negative number"):
        make_plan(goal, SOURCES, {"api": [5, -1]})


# ---------------------------------------------------------------- phases


def test_the_four_phases_depend_on_one_another_in_order(plan: Plan) -> None:
    assert tuple(phase.name for phase in plan.phases) == PHASES
    assert [phase.depends_on for phase in plan.phases] == [
        (), ("collect",), ("transform",), ("validate",),
    ]  # fmt: skip
    assert plan.phases[0].parallel == ("s3", "postgres", "api")
    assert sum(phase.budget_s for phase in plan.phases) == plan.deadline_s == 1_800
    assert all(phase.success and phase.risks and phase.steps for phase in plan.phases)


def test_every_check_of_the_goal_is_an_indicator_of_a_phase_or_of_the_run(plan: Plan) -> None:
    shown = [item.metric for phase in plan.phases for item in phase.success if item.metric]
    run_wide = [str(item.metric) for item in plan.criteria if item.unit in ("s", "MB", "cores")]
    assert sorted([*shown, *run_wide]) == sorted(str(item.metric) for item in plan.criteria)


def test_a_goal_that_wants_all_sources_plans_no_partial_day(goal: Goal) -> None:
    def remedy(plan: Plan) -> str:
        return next(risk.remedy for risk in plan.phases[0].risks if "stays down" in risk.text)

    assert "exit code 3" in remedy(make_plan(goal, SOURCES, GOLDEN))
    strict = small_goal("All sources ingested")
    assert "exit code 4" in remedy(make_plan(strict, SOURCES, GOLDEN))


def test_a_deadline_out_of_the_goal_is_shared_out() -> None:
    plan = make_plan(small_goal("Pipeline completes within 9 minutes"), SOURCES, GOLDEN)
    assert [phase.budget_s for phase in plan.phases] == [180, 180, 60, 120]
    assert plan.warnings == ()


# ---------------------------------------------------------------- warnings and drift


def test_a_plan_warns_of_what_does_not_fit_the_goal(goal: Goal) -> None:
    plan = make_plan(goal, {**SOURCES, "crm": "rest_api"}, {**GOLDEN, "crm": [2_000_000]})
    assert plan.warnings == (
        "the goal expects 3 sources, 4 are configured: s3, postgres, api, crm",
        "source 'crm' brings 2,000,000 records, the goal's scale ends at 1,000,000",
    )
    plan = make_plan(small_goal(), SOURCES, GOLDEN)
    assert plan.warnings == ("the goal names no deadline: 30 minutes are planned",)
    assert plan.deadline_s == 1_800
    assert plan.warnings[0] in render_plan(plan)


def test_a_plan_shows_drift_from_dbts_defaults(goal: Goal) -> None:
    same = {**goal.dbt_vars(), "lookback_days": 30}
    assert make_plan(goal, SOURCES, GOLDEN, project_vars=same).drift == ()
    other = {**same, "accuracy_threshold": 0.9}
    plan = make_plan(goal, SOURCES, GOLDEN, project_vars=other)
    assert plan.as_dict()["drift"] == [{"var": "accuracy_threshold", "goal": 0.98, "project": 0.9}]
    text = render_plan(plan)
    assert "Drift between the goal and dbt_project.yml:" in text
    assert "- accuracy_threshold: the goal says 0.98, dbt_project.yml has 0.9" in text
    assert "Drift" not in render_plan(make_plan(goal, SOURCES, GOLDEN))


# ---------------------------------------------------------------- output


def test_the_plan_as_json_is_stable(plan: Plan, goal: Goal) -> None:
    data = plan.as_dict()
    assert json.loads(json.dumps(data)) == data
    assert json.dumps(make_plan(goal, SOURCES, GOLDEN).as_dict()) == json.dumps(data)
    assert list(data) == [
        "schema_version", "title", "goal", "deadline_s", "schedule", "memory_bytes", "cores",
        "records", "engine", "sources", "phases", "criteria", "drift", "warnings",
    ]  # fmt: skip
    assert list(data["phases"][0]) == [
        "name", "title", "depends_on", "reason", "parallel", "steps", "budget_s", "success", "risks",
    ]  # fmt: skip
    assert data["sources"][0] == {
        "name": "s3", "kind": "s3", "records": 250_000, "basis": "the last loaded day",
        "strategy": "chunks", "batch_bytes": 16 * MIB,
    }  # fmt: skip
    assert data["criteria"][1]["threshold"] == 0.02


def test_the_text_has_the_origins_shape(plan: Plan) -> None:
    text = render_plan(plan)
    for line in (
        "Phase 1: Data Collection (10 minutes, parallel-safe)",
        "Phase 2: Data Transformation (10 minutes, depends on Phase 1)",
        "Phase 3: Quality Validation (3 min 20 s, depends on Phase 2)",
        "Phase 4: Data Publishing (6 min 40 s, depends on Phase 3)",
        "Dependencies: Phase 1 (needs collected data)",
        "- Collect from s3 (250,000 records, in chunks)",
        "- completeness ≥ 95%",
        "- Pipeline completes within 30 minutes",
        "Deadline: 30 minutes",
        "Schedule: 0 2 * * *",
        "Total Duration: 30 minutes (10 min + 10 min + 3 min 20 s + 6 min 40 s)",
    ):
        assert line in text.splitlines(), line
    assert text.endswith("\n")


def test_the_text_fits_80_columns_and_is_inert_whatever_the_names() -> None:
    goal = parse_goal(
        f"# Goal: {'very ' * 40}long \x1b[31mred\n## Success Criteria\n"
        f"- accuracy ≥ 98% ({'because ' * 30})\n- no\x1b]0;x\x07body checks this (not checked)\n"
    )
    plan = make_plan(goal, {"x" * 200: "s3", "a b " * 50: "postgres", "\x1b[2Jy": "s3"}, {})
    text = render_plan(plan)
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "\x1b" not in text
    assert "Not checked:" in text


def test_what_is_not_checked_is_shown_as_such() -> None:
    text = render_plan(make_plan(small_goal("It feels fast (not checked)"), SOURCES, GOLDEN))
    assert "Not checked:\n- It feels fast (not checked)\n" in text


# ---------------------------------------------------------------- budgets while it runs


def test_unspent_time_goes_to_the_next_phase(plan: Plan) -> None:
    budgets = PhaseBudgets.for_deadline(plan.deadline_s)
    assert [budgets.remaining(phase) for phase in PHASES] == [600, 1_200, 1_400, 1_800]
    budgets = budgets.spend("collect", 100)
    assert budgets.remaining("collect") == 500
    assert budgets.remaining("transform") == 1_100
    budgets = budgets.spend("transform", 100)
    assert budgets.remaining("validate") == 1_200


def test_an_overrun_is_shared_by_the_later_phases(plan: Plan) -> None:
    budgets = PhaseBudgets.for_deadline(plan.deadline_s).spend("collect", 900)
    assert budgets.remaining("collect") == 0
    # 900 s are left for what was planned with 600 + 200 + 400
    assert budgets.remaining("transform") == 450
    budgets = budgets.spend("transform", 450)
    assert budgets.remaining("validate") == 150
    budgets = budgets.spend("validate", 150)
    assert budgets.remaining("publish") == 300
    assert budgets.spend("publish", 300).remaining("publish") == 0


def test_phases_that_keep_to_their_allowance_keep_the_deadline() -> None:
    draw = random.Random(7)
    for _ in range(300):
        deadline_s = draw.randrange(1, 5_000)
        budgets = PhaseBudgets.for_deadline(deadline_s)
        for phase in PHASES:
            seconds = budgets.remaining(phase) * draw.choice((0, 0.3, 1))
            budgets = budgets.spend(phase, seconds)
        assert sum(budgets.spent) <= deadline_s * (1 + 1e-12)


def test_a_passed_deadline_leaves_nothing(plan: Plan) -> None:
    budgets = PhaseBudgets.for_deadline(plan.deadline_s).spend("collect", 5_000)
    assert [budgets.remaining(phase) for phase in PHASES] == [0, 0, 0, 0]
    assert budgets.retries("transform", 1) == 0
    assert budgets.dropped("publish", 10, {"docs": 1, "archive": 1}) == OPTIONAL_WORK


def test_budgets_are_values(plan: Plan) -> None:
    budgets = PhaseBudgets.for_deadline(plan.deadline_s)
    budgets.spend("collect", 10)
    assert budgets == PhaseBudgets.for_deadline(plan.deadline_s)


@pytest.mark.parametrize(
    ("spent", "attempt_s", "retries"),
    [(0, 10, 2), (584, 5, 2), (584.5, 5, 1), (593, 5, 1), (593.5, 5, 0), (600, 0, 0)],
)
def test_retries_are_granted_from_what_is_left(plan: Plan, spent: float, attempt_s: float, retries: int) -> None:
    assert PhaseBudgets.for_deadline(plan.deadline_s).spend("collect", spent).retries("collect", attempt_s) == retries


@pytest.mark.parametrize(
    ("required_s", "dropped"),
    [(300, ()), (370, ()), (370.5, ("docs",)), (380, ("docs",)), (381, ("docs", "archive")),
     (900, ("docs", "archive"))],
)  # fmt: skip
def test_optional_work_is_dropped_docs_first(plan: Plan, required_s: float, dropped: tuple[str, ...]) -> None:
    budgets = PhaseBudgets.for_deadline(plan.deadline_s)
    for phase in PHASES[:3]:
        budgets = budgets.spend(phase, dict(share_out(1_800))[phase])
    optional = {"archive": 20.0, "docs": 10.0}
    assert budgets.dropped("publish", required_s, optional) == dropped
    if required_s > 400:
        assert budgets.dropped("publish", required_s, {"archive": 20.0}) == ("archive",)


def test_checks_can_not_be_dropped(plan: Plan) -> None:
    with pytest.raises(ValueError, match="checks can't be dropped; only docs, archive can"):
        PhaseBudgets.for_deadline(plan.deadline_s).dropped("publish", 0, {"checks": 5, "docs": 5})


def test_an_unknown_phase_or_a_senseless_figure_is_an_error(plan: Plan) -> None:
    with pytest.raises(ValueError, match="no phase 'load'"):
        PhaseBudgets.for_deadline(plan.deadline_s).remaining("load")
    with pytest.raises(ValueError, match="can't spend -1 s"):
        PhaseBudgets.for_deadline(plan.deadline_s).spend("collect", -1)
    with pytest.raises(ValueError, match="one figure"):
        PhaseBudgets((1.0, 2.0))
