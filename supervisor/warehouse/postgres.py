"""PostgreSQL, 16 or later, as the warehouse: how to reach it, the sessions of a run that holds its lock, the rights that it needs.

Everything comes from the environment: POSTGRES_HOST, POSTGRES_PORT, POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB, and for TLS
POSTGRES_SSLMODE, POSTGRES_SSLROOTCERT, POSTGRES_SSLCERT, POSTGRES_SSLKEY. profiles/profiles.yml reads the same.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC
from typing import Any

from supervisor.warehouse.base import MissingRight, Session, Warehouse, WarehouseError
from supervisor.warehouse.lock import Holder, LockHeldError

LEAST_VERSION = 16
TLS = ("sslmode", "sslrootcert", "sslcert", "sslkey")
# names under which the children of a run appear on the server, so that those of a killed run can be told
CHILDREN = ("goalkeeper-dbt", "goalkeeper-loaders")
# what dbt and the supervisor fill; what lies there must be their own, since only an owner may replace it
BUILT = ("seeds", "staging", "intermediate", "day_partitions", "quarantine", "quality", "analytics", "metadata")
_PLACE = ("HOST", "PORT", "DB", "USER", "PASSWORD", "LOADER_USER", "LOADER_PASSWORD")
_CONNECT_TIMEOUT_S = 10
_DEFAULT_WORK_MEM = "64MB"

# SQLSTATEs that pass by themselves, https://www.postgresql.org/docs/current/errcodes-appendix.html: connection (class 08),
# serialization, deadlock, too many connections, lock not available, ended or starting server, timeouts of idle sessions
_TRANSIENT_STATES = re.compile(r"08...|40001|40P01|53300|55P03|57P0[1235]|25P0[34]")

# "goal" in ASCII; advisory locks belong to a database, so one number is enough for all
_KEY = (0x676F616C, 1)
_SEARCH_S = 10.0
_SEARCH_PAUSE_S = 0.1
# what the connection that holds the lock is called, as far as 63 bytes go
_HOLDER = re.compile(r"goalkeeper (?P<run_id>\S+) pid (?P<pid>\d+) on (?P<host>.*)")


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
                "Check POSTGRES_HOST, POSTGRES_PORT, POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB and POSTGRES_SSLMODE.",
                is_transient=PostgresWarehouse.is_transient(error),
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


class PostgresWarehouse(Warehouse):
    """The warehouse on a server.

    While a run holds the lock (`exclusive`), all its sessions go through the connection that holds it: without the lock there is
    no publish. A lock that was lost with its connection is taken again only when nobody else has had it in between.
    """

    target = "postgres"
    drivers = ("psycopg2",)
    # a failure without SQLSTATE is libpq's own; dbt tells words only
    transient_words = re.compile(
        r"connection (refused|reset|timed out)|closed the connection|connection[^:.]{0,40} closed"
        r"|could not receive data from server|terminating connection|deadlock detected|could not serialize|lock timeout"
        r"|timeout expired|temporary failure in name|the database system is (starting up|shutting down|in recovery mode)"
        r"|too many (connections|clients)|remaining connection slots",
        re.IGNORECASE,
    )
    serves_readers = True

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

        lock = AdvisoryLock(self.settings.connect, self.description, run_id)
        try:
            lock.acquire()
        except psycopg2.Error as error:
            lock.release()
            raise WarehouseError(
                f"warehouse {self.description} can't be made ready: {' '.join(str(error).split())}. "
                "See what is missing: python orchestrate.py check --target postgres",
                is_transient=self.is_transient(error),
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
                yield Session(connection.cursor, "%s")

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
                    session = Session(connection.cursor, "%s")
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

    def remote_holder(self) -> Holder | None:
        """Return the run that holds the lock, on whichever machine it is."""
        with self.session() as session:
            return _read_holder(session)[0]

    def version(self, session: Session) -> tuple[str, str]:
        """Return "PostgreSQL" and its version, and what is needed instead of one that is too old."""
        number = session.query("select current_setting('server_version_num')::int / 10000 as number")[0]["number"]
        return f"PostgreSQL {number}", "" if number >= LEAST_VERSION else f"{LEAST_VERSION} or later is needed"

    def missing_rights(self, sources: Sequence[str] = ()) -> list[MissingRight]:
        """Find out which rights a run would miss; raises `WarehouseError` also when the server lets one of the logins not in."""
        loader = os.environ.get("POSTGRES_LOADER_USER")
        with self.session() as session:
            missing = [*_of_server(session), *_of_transformer(session, sources)]
            if not loader:
                missing += _of_loader(session, sources)
        if loader:
            password = os.environ.get("POSTGRES_LOADER_PASSWORD") or self.settings.password
            with PostgresWarehouse(replace(self.settings, user=loader, password=password)).session() as session:
                missing += _of_loader(session, sources)
        return list(dict.fromkeys(missing))

    @classmethod
    def is_configured(cls) -> bool:
        """Whether any of the variables is set: a server that nobody named is not looked for."""
        return any(os.environ.get(f"POSTGRES_{name}") for name in _PLACE)

    @classmethod
    def is_transient(cls, error: Exception) -> bool:
        """Whether the SQLSTATE, or without one what libpq says, passes by itself."""
        state = getattr(error, "pgcode", None)
        return bool(_TRANSIENT_STATES.fullmatch(state)) if state else super().is_transient(error)

    @classmethod
    def dbt_environment(cls) -> dict[str, str]:
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


@contextmanager
def _told_as_lost(connection: Any, what: str) -> Iterator[None]:
    """Say in words that are the same for every driver and version that the connection broke."""
    import psycopg2

    try:
        yield
    except psycopg2.Error as error:
        if not connection.closed:
            raise
        raise WarehouseError(f"{what}: {' '.join(str(error).split())}", is_transient=True) from error


class AdvisoryLock:
    """The lock of a warehouse, held by a connection of its own: a session's advisory lock, which ends with its connection.

    `metadata.run_lock` holds one row, the last holder. It says who has the lock, and after a lost connection whether anybody else
    has had it in between: then what this run has built may not be what it believes.

    Args:
        connect: Opens a connection under an application name.
        warehouse: Where it is, for people.
        run_id: Who holds it.
    """

    def __init__(self, connect: Callable[[str], Any], warehouse: str, run_id: str) -> None:
        self._connect, self._warehouse = connect, warehouse
        self._me = Holder.here(run_id)
        self._name = f"goalkeeper {run_id} pid {self._me.pid} on {self._me.host}"[:63]
        self._connection: Any = None
        self._session = Session(lambda: self._connection.cursor(), "%s")
        self._server_pid = 0

    def acquire(self) -> None:
        """Take the lock and leave this run's name in it; what a killed run left working on the server is ended.

        Raises:
            LockHeldError: Another run has it.
            WarehouseError: The server can't be reached or refuses.
        """
        self._open()
        if not self._try():
            holder = self._describe_holder()
            self.release()
            raise LockHeldError(
                f"{holder} holds the lock of warehouse {self._warehouse}. Wait for it to end, then run the same command again; "
                "the lock of a run that is gone is free by itself."
            )
        self._session.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name in (?, ?) "
            "and datname = current_database() and pg_has_role(usesysid, 'usage')",
            CHILDREN,
        )
        self._connection.autocommit = False
        with self._connection:
            self._create_table()
            self._session.execute("delete from metadata.run_lock")
            self._session.execute(
                "insert into metadata.run_lock (run_id, pid, host, started_at) values (?, ?, ?, cast(? as timestamptz))",
                tuple(self._me.as_dict().values()),
            )
        self._connection.autocommit = True

    def _create_table(self) -> None:
        # asking for a schema that is there needs the right to create it, even if it says "if not exists"
        if not self._session.query("select 1 as found where to_regnamespace('metadata') is not null"):
            self._session.execute("create schema metadata")
        if not self._session.query("select 1 as found where to_regclass('metadata.run_lock') is not null"):
            self._session.execute(
                "create table metadata.run_lock (run_id varchar(64) not null, pid integer not null, host varchar(255) not null, "
                "started_at timestamptz not null)"
            )

    def connection(self) -> Any:
        """Return the connection that holds the lock; a lost one is replaced by one that holds it again.

        The new connection waits for the old one's end, so whatever that one was committing is done or undone by then.

        Raises:
            WarehouseError: The server can't be reached, or another run has had the lock in between.
        """
        if not self._is_alive():
            self._take_again()
        return self._connection

    def release(self) -> None:
        """Let go of the lock."""
        with suppress(Exception):
            self._connection.close()

    def _open(self) -> None:
        self._connection = self._connect(self._name)
        self._connection.autocommit = True
        self._server_pid = self._connection.info.backend_pid

    def _is_alive(self) -> bool:
        try:
            self._connection.autocommit = True
            self._session.execute("select 1")
        except Exception:
            return False
        return True

    def _take_again(self) -> None:
        lost_pid = self._server_pid
        self.release()
        self._open()
        deadline = time.monotonic() + _SEARCH_S
        while not self._try():
            # the server may not have noticed yet that nobody listens to the old connection
            self._session.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where pid = ? and application_name = ?",
                (lost_pid, self._name),
            )
            if time.monotonic() > deadline:
                holder = self._describe_holder()
                self.release()
                raise WarehouseError(
                    f"this run has lost its lock of warehouse {self._warehouse}, {holder} holds it now"
                )
            time.sleep(_SEARCH_PAUSE_S)
        last = self._session.query("select run_id, pid, host from metadata.run_lock")
        if last != [{"run_id": self._me.run_id, "pid": self._me.pid, "host": self._me.host}]:
            self.release()
            raise WarehouseError(
                f"this run has lost its lock of warehouse {self._warehouse}, and another run has worked there since: "
                "run the same command again"
            )

    def _try(self) -> bool:
        return bool(self._session.query("select pg_try_advisory_lock(?, ?) as is_mine", _KEY)[0]["is_mine"])

    def _describe_holder(self) -> str:
        holder, server_pid = _read_holder(self._session)
        if holder is None:
            return f"another run (server process {server_pid})" if server_pid else "another run"
        return f"{holder.describe().removesuffix(')')}, server process {server_pid})"


def _read_holder(session: Session) -> tuple[Holder | None, int]:
    """Return who has the lock, and the server process that holds it, 0 when nobody does.

    The connection's name is there at once; the row, written a moment later, knows the whole host and when the run began.
    """
    rows = session.query(
        "select application_name as name, pg_stat_activity.pid, backend_start from pg_locks "
        "inner join pg_stat_activity using (pid) where locktype = 'advisory' and granted and classid = ? and objid = ? "
        "and pg_locks.database = (select oid from pg_database where datname = current_database())",
        _KEY,
    )
    if not rows:
        return None, 0
    found = _HOLDER.fullmatch(rows[0]["name"] or "")
    if found is None:
        return None, rows[0]["pid"]
    host, since = found["host"], rows[0]["backend_start"]
    with suppress(Exception):
        for row in session.query(
            "select host, started_at from metadata.run_lock where run_id = ? and pid = ?",
            (found["run_id"], int(found["pid"])),
        ):
            host, since = row["host"], row["started_at"]
    # of another role's connection the server tells no start
    started_at = since.astimezone(UTC).isoformat(timespec="seconds") if since else "unknown"
    return Holder(found["run_id"], int(found["pid"]), host, started_at), rows[0]["pid"]


def _of_server(session: Session) -> Iterator[MissingRight]:
    (row,) = session.query(
        "select current_setting('server_version_num')::int / 10000 as version, current_setting('server_encoding') as encoding, "
        "current_database() as name"
    )
    if row["version"] < LEAST_VERSION:
        found = f"PostgreSQL {row['version']}"
        yield MissingRight(
            "the server",
            f"PostgreSQL {LEAST_VERSION}",
            f"it is {found}; values are cast safely from 16 on",
            "upgrade it",
        )
    if row["encoding"] != "UTF8":
        remedy = f"create database {row['name']}_utf8 encoding 'UTF8' template template0"
        yield MissingRight(
            "the database", "encoding UTF8", f"it is {row['encoding']}; feeds send any character", remedy
        )


def _of_transformer(session: Session, sources: Sequence[str]) -> Iterator[MissingRight]:
    role, database, schemas = _facts(session)
    yield from _creating(session, role, database, schemas, BUILT, "to build and publish")
    if not session.query("select 1 as found where has_database_privilege(current_database(), 'TEMPORARY')"):
        yield MissingRight(
            role,
            f"TEMPORARY on database {database}",
            "dbt compares there",
            f"grant temporary on database {database} to {role}",
        )
    for row in _relations(session, BUILT):
        if not row["is_owned"]:
            yield MissingRight(
                role,
                f"ownership of {row['name']}",
                "only its owner may replace or extend it",
                f"alter table {row['name']} owner to {role}",
            )
    raw = [f"raw_{source}" for source in sources if f"raw_{source}" in schemas]
    for schema in raw:
        if not _may(session, schema, "USAGE"):
            yield MissingRight(
                role, f"USAGE on schema {schema}", "to read raw records", f"grant usage on schema {schema} to {role}"
            )
    for row in _relations(session, raw):
        for right, purpose in (
            ("SELECT", "to read raw records"),
            ("DELETE", "to remove replaced ones"),
            ("UPDATE", "to keep references"),
        ):
            if not row[f"may_{right.lower()}"] and not row["table_name"].startswith("_dlt"):
                yield MissingRight(
                    role, f"{right} on {row['name']}", purpose, f"grant {right.lower()} on {row['name']} to {role}"
                )


def _of_loader(session: Session, sources: Sequence[str]) -> Iterator[MissingRight]:
    role, database, schemas = _facts(session)
    names = [f"raw_{source}" for source in sources]
    yield from _creating(session, role, database, schemas, names, "to load raw records")
    for row in _relations(session, [name for name in names if name in schemas]):
        if not row["is_owned"]:
            yield MissingRight(
                role, f"ownership of {row['name']}", "to add a new column", f"alter table {row['name']} owner to {role}"
            )


def _facts(session: Session) -> tuple[str, str, set[str]]:
    (row,) = session.query("select current_user as role, current_database() as name")
    schemas = {found["name"] for found in session.query("select nspname as name from pg_namespace")}
    return row["role"], row["name"], schemas


def _creating(
    session: Session, role: str, database: str, schemas: set[str], needed: Sequence[str], purpose: str
) -> Iterator[MissingRight]:
    for schema in needed:
        if schema in schemas:
            for right in ("USAGE", "CREATE"):
                if not _may(session, schema, right):
                    remedy = f"grant {right.lower()} on schema {schema} to {role}"
                    yield MissingRight(role, f"{right} on schema {schema}", purpose, remedy)
        elif not session.query("select 1 as found where has_database_privilege(current_database(), 'CREATE')"):
            remedy = f"create schema {schema} authorization {role}"
            yield MissingRight(role, f"schema {schema}, or CREATE on database {database}", purpose, remedy)


def _may(session: Session, schema: str, right: str) -> bool:
    return bool(session.query("select 1 as found where has_schema_privilege(?, ?)", (schema, right)))


def _relations(session: Session, schemas: Sequence[str]) -> list[dict[str, Any]]:
    """Tables and views of these schemas, with what this role may do with them."""
    if not schemas:
        return []
    listed = ", ".join("?" for _ in schemas)
    return session.query(
        "select format('%I.%I', nspname, relname) as name, relname as table_name, "
        "pg_has_role(relowner, 'USAGE') as is_owned, has_table_privilege(pg_class.oid, 'SELECT') as may_select, "
        "has_table_privilege(pg_class.oid, 'UPDATE') as may_update, has_table_privilege(pg_class.oid, 'DELETE') as may_delete "
        "from pg_class inner join pg_namespace on pg_namespace.oid = relnamespace "
        f"where relkind in ('r', 'p', 'v') and nspname in ({listed}) order by 1",
        schemas,
    )
