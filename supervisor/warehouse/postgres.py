"""PostgreSQL, 16 or later, as the warehouse: how to reach it, and the sessions of a run that holds its lock.

Everything comes from the environment: POSTGRES_HOST, POSTGRES_PORT, POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB, and for TLS
POSTGRES_SSLMODE, POSTGRES_SSLROOTCERT, POSTGRES_SSLCERT, POSTGRES_SSLKEY. profiles/profiles.yml reads the same.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from supervisor.warehouse.base import DbApiSession, Session, WarehouseError
from supervisor.warehouse.postgres_lock import AdvisoryLock

TLS = ("sslmode", "sslrootcert", "sslcert", "sslkey")
# names under which the children of a run appear on the server, so that those of a killed run can be told
CHILDREN = ("goalkeeper-dbt", "goalkeeper-loaders")
_CONNECT_TIMEOUT_S = 10
_DEFAULT_WORK_MEM = "64MB"


@dataclass(frozen=True)
class PostgresSettings:
    """Where the warehouse is and who asks; `tls` holds libpq's parameters as far as they are set."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str
    tls: Mapping[str, str]

    @classmethod
    def from_env(cls) -> PostgresSettings:
        """Read the environment.

        Raises:
            WarehouseError: POSTGRES_PORT is not a number.
        """
        port = os.environ.get("POSTGRES_PORT") or "5432"
        if not port.isdigit():
            raise WarehouseError(f"POSTGRES_PORT is '{port}', not a port number such as 5432")
        tls = {name: os.environ.get(f"POSTGRES_{name.upper()}", "") for name in TLS}
        return cls(
            host=os.environ.get("POSTGRES_HOST") or "localhost",
            port=int(port),
            user=os.environ.get("POSTGRES_USER") or "goalkeeper",
            password=os.environ.get("POSTGRES_PASSWORD") or "",
            database=os.environ.get("POSTGRES_DB") or "warehouse",
            tls={name: value for name, value in tls.items() if value},
        )

    def connect(self, application: str) -> Any:
        """Open a connection that appears on the server under this name (at most 63 bytes of it).

        Raises:
            WarehouseError: The server can't be reached, or does not let this user in.
        """
        import psycopg2

        try:
            return psycopg2.connect(
                host=self.host,
                port=self.port,
                user=self.user,
                password=self.password or None,
                dbname=self.database,
                connect_timeout=_CONNECT_TIMEOUT_S,
                # a lost network is noticed in about a minute, and no firewall forgets a connection that only waits
                keepalives_idle=30,
                keepalives_interval=10,
                keepalives_count=3,
                application_name=application[:63],
                options=f"-c timezone=UTC -c datestyle=ISO -c statement_timeout={statement_timeout_ms() or 0}",
                **self.tls,
            )
        except psycopg2.Error as error:
            raise WarehouseError(
                f"warehouse {self.description} can't be reached: {' '.join(str(error).split())}. "
                "Check POSTGRES_HOST, POSTGRES_PORT, POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB and POSTGRES_SSLMODE."
            ) from error

    @property
    def description(self) -> str:
        """Where it is, for people; without credentials."""
        return f"{self.host}:{self.port}/{self.database}"


def statement_timeout_ms() -> int | None:
    """Return what the run's deadline allows a statement, in milliseconds; None without a deadline."""
    try:
        return max(1, int(float(os.environ["GOALKEEPER_DEADLINE_S"]) * 1000))
    except (KeyError, ValueError):
        return None


def dbt_environment() -> dict[str, str]:
    """Return the variables that dbt's connections need, as libpq reads them."""
    settings = {
        "timezone": "UTC",
        "work_mem": os.environ.get("POSTGRES_WORK_MEM") or _DEFAULT_WORK_MEM,
        # compiling costs more than it saves in queries of a second with hundreds of expressions
        "jit": "off",
        # what dbt builds here is built again after a crash; the publish is not dbt's
        "synchronous_commit": "off",
        # none outlives the run, whatever happens to dbt
        "statement_timeout": str(statement_timeout_ms() or 0),
    }
    options = " ".join(f"-c {name}={value}" for name, value in settings.items())
    return {
        "PGOPTIONS": f"{options} {os.environ.get('PGOPTIONS', '')}".strip(),
        "GOALKEEPER_APPLICATION": CHILDREN[0],
    }


class PostgresWarehouse:
    """The warehouse on a server.

    While a run holds the lock (`exclusive`), all its sessions go through the connection that holds it: without the lock there is
    no publish. A lock that was lost with its connection is taken again only when nobody else has had it in between.
    """

    target = "postgres"

    def __init__(self, settings: PostgresSettings | None = None) -> None:
        self.settings = settings or PostgresSettings.from_env()
        self._lock: AdvisoryLock | None = None
        self._lock_in_use = False

    @property
    def description(self) -> str:
        """Where it is, for people; without credentials."""
        return self.settings.description

    def exists(self) -> bool:
        """Whether the server answers; raises `WarehouseError` when it does not."""
        with self.session():
            return True

    @contextmanager
    def exclusive(self, run_id: str) -> Iterator[None]:
        """Hold the warehouse's lock for the time of the block.

        Raises:
            LockHeldError: Another run has it.
            WarehouseError: The server can't be reached, or does not let this user work.
        """
        import psycopg2

        lock = AdvisoryLock(self.settings.connect, self.description, run_id, CHILDREN)
        try:
            lock.acquire()
        except psycopg2.Error as error:
            lock.release()
            raise WarehouseError(
                f"warehouse {self.description} can't be made ready: {' '.join(str(error).split())}. "
                "See what is missing: python orchestrate.py check --target postgres"
            ) from error
        self._lock = lock
        try:
            yield
        finally:
            self._lock = None
            lock.release()

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Connect, with each statement committed at once."""
        with self._connection() as connection:
            connection.autocommit = True
            with _told_as_lost(connection, "the connection is lost"):
                yield _session(connection)

    @contextmanager
    def transaction(self, timeout_s: float | None = None) -> Iterator[Session]:
        """Connect and hold one transaction.

        Args:
            timeout_s: Seconds that a single statement may take; None for no limit.

        Raises:
            WarehouseError: The connection was lost. When that happened during the commit, only the ledger can tell whether it
                was done.
        """
        with self._connection() as connection:
            connection.autocommit = False
            try:
                with _told_as_lost(connection, "the connection is lost"):
                    session = _session(connection)
                    if timeout_s is not None:
                        session.execute(f"set local statement_timeout = {max(1, int(timeout_s * 1000))}")
                    yield session
                with _told_as_lost(connection, "the connection is lost during a commit"):
                    connection.commit()
            except BaseException:
                with suppress(Exception):
                    connection.rollback()
                raise

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        if self._lock is not None and not self._lock_in_use:
            self._lock_in_use = True
            try:
                yield self._lock.connection()
            finally:
                self._lock_in_use = False
            return
        connection = self.settings.connect("goalkeeper")
        try:
            yield connection
        finally:
            connection.close()


def _session(connection: Any) -> DbApiSession:
    return DbApiSession(connection.cursor, "%s", "postgres")


@contextmanager
def _told_as_lost(connection: Any, what: str) -> Iterator[None]:
    """Say in words that are the same for every driver and version that the connection broke."""
    import psycopg2

    try:
        yield
    except psycopg2.Error as error:
        if not connection.closed:
            raise
        raise WarehouseError(f"{what}: {' '.join(str(error).split())}") from error
