"""Work on the warehouse is tried again when the engine says that its failure may pass."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import duckdb
import psycopg2
import pytest

from supervisor.warehouse import retry as module
from supervisor.warehouse.base import Warehouse, WarehouseError
from supervisor.warehouse.duckdb import DuckDBWarehouse
from supervisor.warehouse.postgres import PostgresWarehouse
from supervisor.warehouse.retry import MAX_TRIES, is_transient, is_warehouse_error, retry


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waits."""
    monkeypatch.setattr(module, "pause_s", lambda tries: 0.0)


def failing(*errors: Exception) -> Callable[[], str]:
    left = list(errors)

    def work() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return work


PASSING = WarehouseError("the warehouse is away\nfor a moment", is_transient=True)


@pytest.mark.usefixtures("pauses")
def test_a_passing_failure_is_tried_again_and_told_in_one_line() -> None:
    told: list[tuple[str, float]] = []
    assert retry(failing(PASSING), seconds=60, on_retry=lambda *said: told.append(said)) == "done"
    assert told == [("the warehouse is away for a moment", 0.0)]


@pytest.mark.usefixtures("pauses")
def test_the_last_failure_is_raised_after_as_many_tries_as_the_loaders_have() -> None:
    told: list[str] = []
    work = failing(*[PASSING] * 9)
    with pytest.raises(WarehouseError, match="away"):
        retry(work, seconds=60, on_retry=lambda problem, wait_s: told.append(problem))
    assert len(told) == MAX_TRIES - 1


@pytest.mark.usefixtures("pauses")
@pytest.mark.parametrize("error", [WarehouseError("permission denied"), ValueError("a bug")])
def test_what_can_not_pass_is_raised_at_once(error: Exception) -> None:
    with pytest.raises(type(error)):
        retry(failing(error, error), seconds=60, on_retry=lambda problem, wait_s: pytest.fail("tried again"))


def test_no_wait_goes_beyond_the_time_that_is_left() -> None:
    with pytest.raises(WarehouseError, match="away"):
        retry(failing(PASSING), seconds=1.0, on_retry=lambda problem, wait_s: pytest.fail("tried again"))


@pytest.mark.usefixtures("pauses")
def test_a_drivers_error_becomes_the_warehouses(tmp_path: Path) -> None:
    def work() -> None:
        with DuckDBWarehouse(tmp_path / "w.duckdb").session() as session:
            session.execute("select nothing_of_the_kind")

    with pytest.raises(WarehouseError, match=r"^Binder Error: .*nothing_of_the_kind[^\n]*$"):
        retry(work, seconds=60, on_retry=lambda problem, wait_s: pytest.fail("tried again"))


def raised(work: Callable[[], Any]) -> Exception:
    with pytest.raises((psycopg2.Error, duckdb.Error, WarehouseError)) as caught:
        work()
    assert is_warehouse_error(caught.value)
    return caught.value


@pytest.fixture
def two(at_server: dict[str, str]) -> Iterator[tuple[Any, Any]]:
    """Two connections to a server that has a table of two rows."""
    connect = PostgresWarehouse().settings.connect
    with closing(connect("one")) as one, closing(connect("other")) as other:
        with one, one.cursor() as cursor:
            cursor.execute("create table rivals as select n from generate_series(1, 2) as n")
        yield one, other
        for connection in (one, other):
            # one of them may be ended by the test
            with suppress(psycopg2.Error):
                connection.rollback()
        with closing(connect("last")) as last, last, last.cursor() as cursor:
            cursor.execute("drop table rivals")


def run(connection: Any, sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def test_postgres_lets_pass_what_rivals_cause(two: tuple[Any, Any]) -> None:
    one, other = two
    run(one, "set transaction isolation level repeatable read")
    run(one, "select count(*) from rivals")
    run(other, "update rivals set n = n")
    other.commit()
    error = raised(lambda: run(one, "update rivals set n = n"))
    assert (error.pgcode, is_transient(error)) == ("40001", True)  # type: ignore[attr-defined]
    one.rollback()
    run(other, "lock table rivals")
    error = raised(lambda: run(one, "set local lock_timeout = '10ms'; select * from rivals"))
    assert (error.pgcode, is_transient(error)) == ("55P03", True)  # type: ignore[attr-defined]


def test_postgres_lets_pass_a_deadlock(two: tuple[Any, Any]) -> None:
    errors: list[Exception] = []

    def update(connection: Any, *numbers: int) -> None:
        try:
            for number in numbers:
                run(connection, f"update rivals set n = n where n = {number}")
        except psycopg2.Error as error:
            errors.append(error)
        connection.rollback()

    one, other = two
    run(one, "update rivals set n = n where n = 1")
    run(other, "update rivals set n = n where n = 2")
    threads = [threading.Thread(target=update, args=(one, 2)), threading.Thread(target=update, args=(other, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (error,) = errors
    assert (error.pgcode, is_transient(error)) == ("40P01", True)  # type: ignore[attr-defined]


def test_postgres_lets_pass_an_ended_backend(two: tuple[Any, Any]) -> None:
    one, other = two
    run(other, f"select pg_terminate_backend({one.info.backend_pid}, 5000)")
    assert is_transient(raised(lambda: run(one, "select 1")))


@pytest.mark.parametrize(
    "sql", ["select 1 / 0", "select * from nowhere", "set statement_timeout = 10; select pg_sleep(5)"]
)
def test_postgres_keeps_what_comes_again(two: tuple[Any, Any], sql: str) -> None:
    assert not is_transient(raised(lambda: run(two[0], sql)))


def test_a_server_that_refuses_may_be_there_later_and_one_that_rejects_the_password_will_not(
    at_server: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect() -> None:
        with PostgresWarehouse().session():
            pass

    monkeypatch.setenv("POSTGRES_PASSWORD", "wrong")
    assert not is_transient(raised(connect))
    monkeypatch.setenv("POSTGRES_PORT", "1")
    assert is_transient(raised(connect))


def test_duckdb_lets_pass_a_conflict_and_keeps_what_comes_again(tmp_path: Path) -> None:
    with closing(duckdb.connect(str(tmp_path / "w.duckdb"))) as one, closing(one.cursor()) as other:
        one.execute("create table rivals as select 1 as n")
        for connection in (one, other):
            connection.execute("begin")
        one.execute("update rivals set n = 2")
        assert is_transient(raised(lambda: other.execute("update rivals set n = 3")))
        assert not is_transient(raised(lambda: one.execute("begin")))
        one.execute("rollback")
        # the words alone don't make a passing failure
        assert not is_transient(raised(lambda: one.execute("select error('could not set lock on file')")))


def test_a_failure_of_dbt_is_known_by_its_words_alone(warehouse: Warehouse) -> None:
    words = {"duckdb": "IO Error: Could not set lock on file", "postgres": "deadlock detected"}
    assert is_transient(f"Database Error in model events: {words[warehouse.target]}")
    assert not is_transient("Compilation Error: 'load_dat' is undefined")
