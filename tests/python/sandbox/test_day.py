"""What the generator plants is what the rules find, and the same every time."""

from __future__ import annotations

import csv
import dataclasses
import datetime as dt
import hashlib
import io
import itertools
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sandbox_recount import load_raw, recount

from sandbox import sorts
from sandbox.figures import GOLDEN_DATE, SOURCES, planned_figures, shares
from sandbox.generator import Day, generate_day
from sandbox.roles import EXTRA_KINDS
from sandbox.values import EVENT_TYPES

SUBSETS = [missing for n in range(3) for missing in itertools.combinations(SOURCES, n)]
SMALL = 0.05

# the table of the design, in its own order of rows
GOLDEN = {
    "collected": (250_000, 75_000, 15_000, 340_000),
    "quarantined": (3_800, 1_000, 300, 5_100),
    "transformed": (246_200, 74_000, 14_700, 334_900),
    "defaults_applied": (1_500, 800, 200, 2_500),
    "missing_required": (2_300, 700, 200, 3_200),
    "out_of_range": (1_000, 350, 150, 1_500),
    "corrected": (800, 280, 120, 1_200),
    "flagged": (200, 70, 30, 300),
    "duplicates": (1_200, 500, 100, 1_800),
    "anomalies": (180, 55, 15, 250),
    "published": (245_000, 73_500, 14_600, 333_100),
}


def assert_found_as_planted(day: Day, missing: tuple[str, ...] = ()) -> dict[str, dict[str, Any]]:
    found = recount(day, missing)
    planted = {name: dataclasses.asdict(figures) for name, figures in day.expected(missing).sources.items()}
    assert found == {name: {**figures, "doubtful": 0} for name, figures in planted.items()}
    return found


def fingerprint(day: Day) -> str:
    digest = hashlib.sha256()
    for key, content in day.s3_objects():
        digest.update(key.encode() + content)
    for part in (*day.transactions(), day.users()):
        digest.update(repr(part.to_pylist()).encode())
    for page in day.api_pages():
        digest.update(page)
    return digest.hexdigest()


@pytest.fixture(scope="module")
def golden_day() -> Day:
    return generate_day(GOLDEN_DATE)


@pytest.fixture(scope="module")
def plain() -> Day:
    """A day without more defects than its own."""
    return generate_day(GOLDEN_DATE, SMALL)


@pytest.fixture(scope="module")
def half_day() -> Iterator[duckdb.DuckDBPyConnection]:
    """The records of a day that is large enough to have some of everything."""
    with load_raw(generate_day(GOLDEN_DATE, 0.5)) as db:
        yield db


def test_golden_day_holds_the_table_of_the_design(golden_day: Day) -> None:
    found = assert_found_as_planted(golden_day)
    for figure, (*per_source, total) in GOLDEN.items():
        assert [found[name][figure] for name in SOURCES] == per_source, figure
        assert sum(per_source) == total
        assert getattr(golden_day.expected().total, figure) == total


def test_golden_day_without_the_api_publishes_318_500(golden_day: Day) -> None:
    assert golden_day.expected(missing=["api"]).total.published == 318_500
    assert_found_as_planted(golden_day, ("api",))


@pytest.mark.parametrize("missing", SUBSETS, ids=lambda names: "-".join(names) or "none")
def test_figures_hold_whichever_sources_are_missing(plain: Day, missing: tuple[str, ...]) -> None:
    assert_found_as_planted(plain, missing)


@pytest.mark.parametrize("scale", [0.01, 0.017, 0.033, 0.2])
def test_figures_hold_at_any_scale(scale: float) -> None:
    day = generate_day(GOLDEN_DATE, scale)
    assert day.expected().total.collected == pytest.approx(340_000 * scale, abs=2)
    assert_found_as_planted(day)


@pytest.mark.parametrize("days", range(0, 200, 25))
def test_other_dates_differ_and_their_figures_hold(days: int) -> None:
    day = generate_day(dt.date(2024, 2, 29) + dt.timedelta(days), 0.03)
    assert day.expected() != generate_day(GOLDEN_DATE, 0.03).expected()
    assert_found_as_planted(day)


@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
def test_every_date_meets_the_goal(scale: float) -> None:
    for days in range(0, 4_000, 7):
        planned = planned_figures(dt.date(2020, 1, 1) + dt.timedelta(days), scale).values()
        collected = sum(p.collected for p in planned)
        transformed = collected - sum(p.quarantined for p in planned)
        assert transformed > 0.98 * collected
        assert sum(p.missing_required for p in planned) < 0.05 * transformed
        assert sum(p.flagged for p in planned) < 0.02 * transformed


@pytest.mark.parametrize("kind", EXTRA_KINDS)
def test_extra_defects_are_found_and_leave_the_rest_alone(plain: Day, kind: str) -> None:
    more = generate_day(GOLDEN_DATE, SMALL, {kind: 200})
    assert_found_as_planted(more)
    before, after = dataclasses.asdict(plain.expected().total), dataclasses.asdict(more.expected().total)
    changed = {key: after[key] - before[key] for key in before if key != "reasons" and after[key] != before[key]}
    assert (
        changed
        == {
            "signs": {"out_of_range": 200, "corrected": 200},
            "minor_unit": {"out_of_range": 200, "corrected": 200},
            "out_of_range": {"out_of_range": 200, "flagged": 200},
            "missing": {"missing_required": 200},
            "broken": {"quarantined": 200, "transformed": -200, "published": -200},
            "orphans": {"quarantined": 200, "transformed": -200, "published": -200},
            "duplicates": {"duplicates": 200, "published": -200},
        }[kind]
    )
    records = [pa.concat_tables([part for _, part in day.s3_tables()]) for day in (plain, more)]
    assert differing_rows(*records) == 200


def differing_rows(one: pa.Table, other: pa.Table) -> int:
    assert one.schema == other.schema
    with duckdb.connect() as db:
        for name, table in (("one", one), ("other", other)):
            db.register(f"{name}_records", table)
            db.execute(f"create table {name} as select row_number() over () as place, * from {name}_records")
        different = " or ".join(f"one.{name} is distinct from other.{name}" for name in one.column_names)
        ((count,),) = db.execute(f"select count(*) from one full join other using (place) where {different}").fetchall()
    return int(count)


def test_too_many_extra_defects_are_refused() -> None:
    with pytest.raises(ValueError, match="99999 extra defects: at most"):
        generate_day(GOLDEN_DATE, 0.01, {"broken": 99_999})


@pytest.mark.parametrize("scale", [0.0, 0.009, 101.0, float("nan")])
def test_a_scale_out_of_bounds_is_refused(scale: float) -> None:
    with pytest.raises(ValueError, match="must be between"):
        generate_day(GOLDEN_DATE, scale)


def test_the_same_day_is_the_same_to_the_byte() -> None:
    assert fingerprint(generate_day(GOLDEN_DATE, 0.02)) == fingerprint(generate_day(GOLDEN_DATE, 0.02))
    assert fingerprint(generate_day(GOLDEN_DATE, 0.02)) != fingerprint(generate_day(dt.date(2025, 11, 17), 0.02))


def test_text_does_not_depend_on_how_much_is_written_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    day = generate_day(GOLDEN_DATE, 0.02)
    whole = [part.to_pylist() for _, part in day.s3_tables()]
    payloads = [row for part in day.transactions() for row in part.to_pylist()]
    monkeypatch.setattr("sandbox.generator._CHUNK", 700)
    assert [part.to_pylist() for _, part in day.s3_tables()] == whole
    assert [row for part in day.transactions() for row in part.to_pylist()] == payloads


def test_event_ids_never_repeat_across_dates() -> None:
    seen: set[str] = set()
    for days in range(3):
        db = load_raw(generate_day(GOLDEN_DATE + dt.timedelta(days), SMALL))
        ids = {
            row[0]
            for row in db.execute(
                r"select distinct lower(trim(event_id, E' \t\r\n')) from raw where event_id ~* '.*evt_.*'"
            ).fetchall()
        }
        assert len(ids) > 12_000
        assert not ids & seen
        seen |= ids


def test_events_are_of_the_day_but_for_a_few_late_ones(half_day: duckdb.DuckDBPyConnection) -> None:
    (early, late, n) = half_day.execute(
        """
        with times as (select try_cast(event_time as timestamptz) as moment from raw
                where length(event_time) >= 19 and event_time not like '%Berlin')
        select count(*) filter (moment < '2025-11-16' and moment >= '2025-11-15 18:00'),
            count(*) filter (moment >= '2025-11-17' and moment < '2025-11-18'), count(moment)
        from times
        """
    ).fetchone() or (0, 0, 0)
    assert 0.001 < early / n < 0.003
    assert late == 0


def test_a_day_is_fifteen_files_of_different_sizes_and_pages_of_a_thousand(golden_day: Day) -> None:
    objects = dict(golden_day.s3_objects())
    assert list(objects) == [f"raw/2025/11/16/part-{n:02d}.parquet" for n in range(15)]
    sizes = [pq.read_metadata(io.BytesIO(content)).num_rows for content in objects.values()]
    assert sum(sizes) == 250_000
    assert len(set(sizes)) > 10
    assert golden_day.table == "transactions_2025_11_16"
    pages = [json.loads(page) for page in golden_day.api_pages()]
    assert [len(page) for page in pages] == [1_000] * 15


def test_unreadable_files_count_as_one_rejected_record_each(golden_day: Day) -> None:
    rows = sum(golden_day.file_rows[at].stop - golden_day.file_rows[at].start for at in (13, 14))
    lost = golden_day.expected(lost_files=[13, 14]).sources["s3"]
    assert lost.collected == 250_000 - rows + 2
    assert lost.collected == lost.published + lost.quarantined + lost.duplicates


def test_defects_are_varied(half_day: duckdb.DuckDBPyConnection) -> None:
    """At least six sorts of each unparsable field, and every way to be missing."""
    assert all(len(choice) >= 6 for choice in sorts.UNPARSABLE.values())
    assert len(sorts.BROKEN_PAYLOADS) >= 6
    for field in ("user_id", "amount", "event_time", "event_type"):
        kinds = half_day.execute(
            f"select source, count(*) filter ({field} is null) > 0, count(*) filter ({field} = '') > 0, "
            f"count(*) filter (length({field}) > 0 and trim({field}) = '') > 0 from raw group by source"
        ).fetchall()
        assert sorted(kinds) == [(name, True, True, True) for name in sorted(SOURCES)], field


def test_json_mixes_numbers_and_strings_and_leaves_out_keys() -> None:
    day = generate_day(GOLDEN_DATE, 0.5)
    records = [record for page in day.api_pages() for record in json.loads(page)]
    for key in ("userId", "amount", "quantity"):
        kinds = {type(record[key]) for record in records if key in record}
        assert str in kinds
        assert kinds & {int, float}
        assert any(key not in record for record in records)
        assert any(record.get(key, "") is None for record in records)
    assert any("location" not in record for record in records)
    assert any(record.get("location") == {} for record in records)


def test_duplicates_differ_in_small_things(half_day: duckdb.DuckDBPyConnection) -> None:
    same = half_day.execute(
        r"""
        with ids as (select *, lower(trim(event_id, E' \t\r\n')) as id from raw where trim(event_id) <> ''),
        groups as (select * from ids qualify count(*) over (partition by id) > 1)
        select count(*) filter (n_texts > 1), count(*) filter (n_amounts > 1), count(*) filter (n_devices > 1),
            count(*) filter (n_zones > 1), count(*) filter (n_sources > 1), count(*)
        from (
            select id, count(distinct event_id) as n_texts, count(distinct amount::decimal(18, 2)) as n_amounts,
                count(distinct lower(trim(device))) as n_devices, count(distinct source) as n_sources,
                count(distinct right(trim(event_time), 6)) as n_zones
            from groups group by id
        )
        """
    ).fetchone()
    assert same is not None
    assert min(same) > 100


def test_event_types_are_those_of_the_pipelines_seed() -> None:
    with (Path(__file__).resolve().parents[3] / "seeds" / "event_types.csv").open() as seed:
        rows = {
            row["event_type"]: (Decimal(row["min_amount"]), Decimal(row["max_amount"]), int(row["expected_sign"]))
            for row in csv.DictReader(seed)
        }
    assert rows == {kind.name: (Decimal(kind.low) / 100, Decimal(kind.high) / 100, kind.sign) for kind in EVENT_TYPES}


def test_shares_add_up() -> None:
    assert shares(10, {"a": 1.0, "b": 1.0, "c": 1.0}) == {"a": 4, "b": 3, "c": 3}
    assert shares(0, {"a": 1.0, "b": 2.0}) == {"a": 0, "b": 0}
