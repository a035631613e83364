"""What brings a situation about: changes to a copy of the dbt project, and what happens while a run works."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import textwrap
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import duckdb
import psutil
from end_to_end.situations import edit, goal_of_the_docs

MODELS = "models/intermediate"

# ---------------------------------------------------------------- changes to a copy of the project


def careless_rules(folder: Path) -> None:
    """Two rules of one's own for what no other rule can correct: tier 2 doubles amounts, tier 3 can't be computed."""
    (folder / MODELS / "int_careless_candidates.sql").write_text(
        textwrap.dedent("""\
            {{ config(materialized='view') }}
            select
                'events' as entity, record_id, source, source_object, source_row, event_id as record_key, 'amount' as field,
                case when source_row % 2 = 0 then 'doubled' else 'broken' end as rule_id,
                case when source_row % 2 = 0 then 2 else 3 end as tier,
                cast(amount as varchar) as value_before,
                case when source_row % 2 = 0 then cast(amount * 2 as varchar) else 'broken' end as value_after
            from {{ ref('int_events_checked') }}
            where {{ lists('flagged', 'amount_out_of_range') }}
                and record_id not in (select record_id from {{ ref('int_correction_candidates') }})
            """)
    )
    edit(
        folder / MODELS / "int_corrections_in_force.sql",
        "from {{ ref('int_correction_candidates') }}",
        "from (select * from {{ ref('int_correction_candidates') }} union all select * from {{ ref('int_careless_candidates') }})",
    )
    test = """\
          - nothing_left_to_correct:
              name: nothing_left_for_the_careless_rule_{tier}
              arguments: {{corrected: ref('int_corrections_in_force'), tier: {tier}}}
              config:
                severity: warn
                meta: {{dimension: accuracy, remedy: cleanse, tier: {tier}, rebuild: int_corrections_in_force+}}
    """
    (folder / MODELS / "_careless.yml").write_text(
        "version: 2\nmodels:\n  - name: int_careless_candidates\n    data_tests:\n"
        + "".join(textwrap.indent(textwrap.dedent(test.format(tier=tier)), " " * 6) for tier in (2, 3))
    )


def check_with_a_remedy(tier: int, heals: bool, severity: str) -> Callable[[Path], None]:
    """A new check, of a new dimension, with a remedy of its own: a model, a test and its meta, no line of Python."""

    def change(folder: Path) -> None:
        condition = "not {{ is_tier_in_force(" + str(tier) + ") }}" if heals else "true"
        (folder / MODELS / "int_devices_unnamed.sql").write_text(
            "{{ config(materialized='view') }}\nselect record_id from {{ ref('int_events_checked') }}\n"
            f"where device = 'unknown' and failure_reasons is null and {condition}\n"
        )
        (folder / "tests/generic").mkdir(parents=True, exist_ok=True)
        (folder / "tests/generic/is_empty.sql").write_text(
            "{% test is_empty(model) %}\nselect * from {{ model }}\n{% endtest %}\n"
        )
        (folder / MODELS / "_devices.yml").write_text(
            textwrap.dedent(f"""\
                version: 2
                models:
                  - name: int_devices_unnamed
                    data_tests:
                      - is_empty:
                          name: every_device_has_a_name
                          config:
                            severity: {severity}
                            meta: {{dimension: devices, remedy: cleanse, tier: {tier}, rebuild: int_devices_unnamed+}}
                """)
        )

    return change


def several(*changes: Callable[[Path], None]) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        for one in changes:
            one(folder)

    return change


def misspelt_remedy(folder: Path) -> None:
    edit(folder / f"{MODELS}/_intermediate__models.yml", "remedy: cleanse, tier: 2", "remedy: clense, tier: 2")


def missing_column(folder: Path) -> None:
    edit(
        folder / "models/marts/_marts__models.yml",
        "when: amount * expected_sign < 0",
        "when: amuont * expected_sign < 0",
    )


def filter_in_a_mapping(folder: Path) -> None:
    mapping = folder / "models/staging/s3/stg_s3__events.sql"
    edit(mapping, "{{ feed_records(", "select * from (\n{{ feed_records(")
    edit(mapping, "}) }}", "}) }}\n) as records\nwhere source_row > 1")


def endless_model(folder: Path) -> None:
    (folder / MODELS / "int_endless.sql").write_text("select sleep_ms(3600000) as slept\n")


def failing_twice(folder: Path) -> None:
    """A model that fails twice as against a rival; what it leaves outside of the warehouse counts the tries."""
    (folder / MODELS / "int_flaky.sql").write_text(
        textwrap.dedent(f"""\
            {{% if execute %}}
                {{% for mark in ['{folder}/first', '{folder}/second'] %}}
                    {{% if run_query("select count(*) from glob('" ~ mark ~ "')").columns[0].values()[0] == 0 %}}
                        {{% do run_query("copy (select 1 as one) to '" ~ mark ~ "' (format csv)") %}}
                        {{{{ exceptions.raise_compiler_error('could not serialize access due to concurrent update') }}}}
                    {{% endif %}}
                {{% endfor %}}
            {{% endif %}}
            select 1 as one
            """)
    )
    (folder / MODELS / "int_on_flaky.sql").write_text("select * from {{ ref('int_flaky') }}\n")


def a_file_is_in_the_way(folder: Path) -> None:
    shutil.rmtree(folder / "reports", ignore_errors=True)
    (folder / "reports").write_text("not a folder")


def engine_settings(folder: Path) -> None:
    """A model that says what the engine was given."""
    (folder / MODELS / "int_engine.sql").write_text(
        "select current_setting('memory_limit') as memory, current_setting('threads') as threads\n"
    )


# ---------------------------------------------------------------- goals


def lenient_within_minutes(text: str) -> str:
    return goal_of_the_docs(1)(text).replace("within 2 hours", "within 120 seconds")


# ---------------------------------------------------------------- what happens meanwhile


def when_it_says(folder: Path, words: str, process: subprocess.Popen[str]) -> None:
    """Wait until the run's log holds some words."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        if any(words in log.read_text() for log in (folder / "runs").glob("*/run.log")):
            return
        time.sleep(0.02)
    raise AssertionError(f"the run never said {words!r}")


def stop_dbt(folder: Path, process: subprocess.Popen[str]) -> None:
    """Freeze dbt as soon as the transformation begins."""
    when_it_says(folder, "Phase 2", process)
    (worker,) = [one for one in psutil.Process(process.pid).children() if "supervisor.dbt.worker" in one.cmdline()]
    os.kill(worker.pid, signal.SIGSTOP)


def borrow_the_warehouse(folder: Path, process: subprocess.Popen[str]) -> None:
    """This process opens the file in a moment when the run has not, and keeps it until the run has noticed."""
    when_it_says(folder, "Phase 1: COMPLETED", process)
    while True:
        with suppress(duckdb.Error), closing(duckdb.connect(str(folder / "warehouse.duckdb"))):
            when_it_says(folder, "retry", process)
            return
        assert process.poll() is None


def hold_the_warehouse(folder: Path, process: subprocess.Popen[str]) -> None:
    """This process has the file open before the run has begun to read it, until its end."""
    with closing(duckdb.connect(str(folder / "warehouse.duckdb"))):
        process.wait(timeout=90)
