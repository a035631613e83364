"""Starts the three servers with the day's data, and tells how to reach them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sandbox.faults import Faults
from sandbox.network import refusing_port
from sandbox.postgres_server import Login, PostgresServer
from sandbox.workspace import Workspace

if TYPE_CHECKING:
    from sandbox.api_server import ApiLogin
    from sandbox.generator import Day
    from sandbox.s3_server import S3Login, S3Server

API_TIMEOUT_S = 2
API_TOTAL_TIMEOUT_S = 20


@dataclass(frozen=True, slots=True)
class Request:
    """What kind of sandbox is wanted.

    Attributes:
        date: The day in UTC.
        scale: Multiplies the day's figures.
        faults: What goes wrong.
        warehouse: Whether PostgreSQL also holds an empty database to be the pipeline's warehouse.
    """

    date: dt.date
    scale: float
    faults: Faults
    warehouse: bool = False


class Stack:
    """The running servers."""

    def __init__(self, request: Request, workspace: Workspace) -> None:
        """Prepare to start; nothing runs yet."""
        self._request = request
        self._postgres = PostgresServer(workspace, request.warehouse)
        # sockets and connections that do their work by being kept open
        self._kept: list[object] = []

    def start(self) -> dict[str, str]:
        """Start everything in parallel and return the environment that a pipeline needs.

        Raises:
            PostgresError: When PostgreSQL does not start.
            ValueError: When the day can't hold the extra defects.
        """
        env = self._start_all()
        # the memory of the generation goes back to the machine before the pipeline needs it
        import pyarrow as pa

        pa.default_memory_pool().release_unused()
        return env

    def _start_all(self) -> dict[str, str]:
        request = self._request
        with ThreadPoolExecutor(3) as pool:
            # the slow imports and the slow programs run beside the generation
            postgres = pool.submit(self._start_postgres)
            s3 = pool.submit(self._create_s3)
            from sandbox.generator import generate_day

            day = generate_day(request.date, request.scale, request.faults.extra_defects())
            logins = pool.submit(lambda: self._fill_postgres(postgres.result(), day))
            stored = pool.submit(lambda: self._fill_s3(s3.result(), day))
            api = self._start_api(day)
            source, warehouse = logins.result()
            env = _s3_env(stored.result()) | _postgres_env(source) | _api_env(api)
        return env if warehouse is None else env | _warehouse_env(warehouse)

    def stop(self) -> None:
        """Stop everything at once, also while it starts."""
        self._postgres.stop()

    def wait_for_postgres(self) -> None:
        """Wait until PostgreSQL ends, which it does not by itself."""
        self._postgres.wait()

    def _refuse(self) -> int:
        holder, port = refusing_port()
        self._kept.append(holder)
        return port

    def _start_postgres(self) -> PostgresServer:
        self._postgres.start()
        return self._postgres

    def _fill_postgres(self, server: PostgresServer, day: Day) -> tuple[Login, Login | None]:
        from sandbox import postgres_data

        faults = self._request.faults
        logins = postgres_data.create_logins(server, self._request.warehouse)
        postgres_data.load_users(server, day.users())
        postgres_data.load_transactions(server, day, faults)
        if faults.has("postgres=hang"):
            self._kept.append(postgres_data.lock_table(server, day.table))
        if faults.has("postgres=down"):
            # the warehouse must still answer, so only the source's address is a dead one
            return replace(logins[0], port=self._refuse()), logins[1]
        return logins

    def _create_s3(self) -> S3Server:
        from sandbox.s3_server import S3Server

        return S3Server(self._request.faults)

    def _fill_s3(self, server: S3Server, day: Day) -> S3Login:
        from sandbox.s3_server import without_footer

        faults = self._request.faults
        if not faults.has("s3=missing"):
            whole = len(day.file_rows) - faults.number("s3=corrupt")
            for at, (key, content) in enumerate(day.s3_objects()):
                server.put(key, content if at < whole else without_footer(content))
        login = server.start()
        if faults.has("s3=down"):
            from sandbox.network import HOST

            return replace(login, endpoint_url=f"http://{HOST}:{self._refuse()}")
        return login

    def _start_api(self, day: Day) -> ApiLogin:
        from sandbox.api_server import ApiServer

        return ApiServer(day.date.isoformat(), self._request.faults).start(day.api_pages())


def _s3_env(login: S3Login) -> dict[str, str]:
    return _section(
        "s3",
        {
            "kind": "s3",
            "bucket_url": f"s3://{login.bucket}",
            "path": "raw/{date:%Y/%m/%d}/",
            "file_glob": "*",
            "table": "events",
            "credentials__aws_access_key_id": login.access_key_id,
            "credentials__aws_secret_access_key": login.secret_access_key,
            "credentials__region_name": login.region,
            "credentials__endpoint_url": login.endpoint_url,
        },
    )


def _postgres_env(login: Login) -> dict[str, str]:
    return _section(
        "postgres",
        {
            "kind": "postgres",
            "credentials__drivername": "postgresql",
            "credentials__host": login.host,
            "credentials__port": str(login.port),
            "credentials__database": login.database,
            "credentials__username": login.username,
            "credentials__password": login.password,
            "tables__transactions__table": "transactions_{date:%Y_%m_%d}",
            "tables__users__table": "users",
            "tables__users__reference": "true",
        },
    )


def _api_env(login: ApiLogin) -> dict[str, str]:
    return _section(
        "api",
        {
            "kind": "rest_api",
            "base_url": login.base_url,
            "fallback_url": login.fallback_url,
            "path": "events",
            "data_selector": "data",
            "table": "events",
            "timeout_s": str(API_TIMEOUT_S),
            "total_timeout_s": str(API_TOTAL_TIMEOUT_S),
            "params__date": "{date:%Y-%m-%d}",
            "paginator__type": "json_link",
            "paginator__next_url_path": "next",
            "auth__type": "bearer",
            "auth__token": login.token,
        },
    )


def _warehouse_env(login: Login) -> dict[str, str]:
    return {
        "POSTGRES_HOST": login.host,
        "POSTGRES_PORT": str(login.port),
        "POSTGRES_USER": login.username,
        "POSTGRES_PASSWORD": login.password,
        "POSTGRES_DB": login.database,
    }


def _section(source: str, settings: Mapping[str, str]) -> dict[str, str]:
    return {f"SOURCES__{source}__{key}".upper(): value for key, value in settings.items()}
