"""A real PostgreSQL for tests: a throwaway server on a free loopback port."""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

import psycopg2
from ports import free_port
from psycopg2 import sql

USER = "pages owner"
# Whatever a URL, a connection string, a shell or a pattern could stumble over.
PASSWORD = "p@ss:w/o%rd?#[&]=+ '\"\\$密.*é"
START_SECONDS = 30
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "16MB",
    "max_connections": "30",
}


def find_binary(name: str) -> Path | None:
    """A PostgreSQL program: on PATH, or of the newest version that Debian has installed."""
    if found := shutil.which(name):
        return Path(found)
    installed = Path("/usr/lib/postgresql").glob(f"*/bin/{name}")
    return max(installed, key=lambda path: float(path.parts[-3]), default=None)


class Postgres:
    """A server with one superuser and password authentication; ``stop`` removes all of it."""

    def __init__(self) -> None:
        self._initdb, self._postgres = find_binary("initdb"), find_binary("postgres")
        if not self._initdb or not self._postgres:
            raise FileNotFoundError("PostgreSQL's server programs are not installed")
        self._folder = Path(tempfile.mkdtemp(prefix="pages-postgres-"))
        self._data = self._folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        # The server refuses to run as root.
        self._as_user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
        self.port = 0

    def start(self) -> "Postgres":
        try:
            self._initialise()
            self._launch()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        pg_ctl = self._initdb.with_name("pg_ctl")
        if self._process and self._process.poll() is None:
            self._run([pg_ctl, "stop", "--pgdata", self._data, "--mode", "immediate", "--silent"])
            self._process.wait(START_SECONDS)
        shutil.rmtree(self._folder, ignore_errors=True)

    def url(self, dbname: str = "postgres") -> str:
        """A DATABASE_URL with the password in it."""
        credentials = f"{quote(USER, safe='')}:{quote(PASSWORD, safe='')}"
        return f"postgresql://{credentials}@127.0.0.1:{self.port}/{quote(dbname, safe='')}"

    def create_database(self, name: str) -> str:
        """Make an empty database and return its URL."""
        self._administer("CREATE DATABASE {} TEMPLATE template0", name)
        return self.url(name)

    def drop_database(self, name: str) -> None:
        self._administer("DROP DATABASE {} WITH (FORCE)", name)

    def _administer(self, statement: str, name: str) -> None:
        connection = psycopg2.connect(self.url())
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql.SQL(statement).format(sql.Identifier(name)))
        finally:
            connection.close()

    def _initialise(self) -> None:
        password_file = self._folder / "password"
        password_file.write_text(PASSWORD + "\n", encoding="utf-8")
        if self._as_user:
            account = pwd.getpwnam("postgres")
            for path in (self._folder, password_file):
                os.chown(path, account.pw_uid, account.pw_gid)
        access = ["--username", USER, "--pwfile", password_file, "--auth", "scram-sha-256"]
        self._run([self._initdb, "--pgdata", self._data, "--encoding=UTF8", "--locale=C", "--no-sync", *access])

    def _launch(self) -> None:
        # Somebody may take the port between our finding it free and the server's binding it.
        for _ in range(5):
            self.port = free_port()
            options = {**SETTINGS, "port": str(self.port), "unix_socket_directories": str(self._folder)}
            arguments = [argument for key, value in options.items() for argument in ("-c", f"{key}={value}")]
            with (self._folder / "log").open("ab") as log:
                self._process = subprocess.Popen(
                    [self._postgres, "-D", self._data, *arguments], stdout=log, stderr=log, **self._common()
                )
            if self._is_ready():
                return
        raise RuntimeError(f"PostgreSQL does not start:\n{self._log()}")

    def _is_ready(self) -> bool:
        """Wait until the server answers, or has ended."""
        deadline = time.monotonic() + START_SECONDS
        while self._process.poll() is None:
            try:
                psycopg2.connect(self.url(), connect_timeout=START_SECONDS).close()
                return True
            except psycopg2.OperationalError:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"PostgreSQL does not answer:\n{self._log()}") from None
                time.sleep(0.02)
        return False

    def _log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")[-2000:]

    def _run(self, command: list[str | Path]) -> None:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=120, **self._common())
        if ended.returncode:
            raise RuntimeError(f"{command[0]} failed:\n{ended.stdout}{ended.stderr}")

    def _common(self) -> dict[str, object]:
        # Our own folder may be closed to the postgres user.
        return {"cwd": self._folder, "stdin": subprocess.DEVNULL, **self._as_user}
