"""Run PostgreSQL's own programs: dump a database with pg_dump, put a dump back with pg_restore."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import IO, NamedTuple, TypeAlias

from psycopg2 import extensions

from pages.database.catalog import require_empty
from pages.database.connection import CONNECT_SECONDS, connected, told_safely
from pages.database.new_file import new_file
from pages.database.url import parse_url, redacted
from pages.errors import OperationFailed

OUTPUT_BYTES = 1 << 16
# The second and third are what Debian's wrapper says when no client package is installed.
UNAVAILABLE = re.compile(r"server version mismatch|must install at least one|version \S+ is not installed")

Process: TypeAlias = "subprocess.Popen[bytes]"


class PgDumpUnavailable(Exception):
    """There is no pg_dump to run here, or only one that is older than the server."""


class Finished(NamedTuple):
    """How a program ended: its exit status and what it wrote."""

    status: int
    output: str
    errors: str


def dump(url: str, target: Path, *, pg_dump: str = "pg_dump", timeout: float) -> None:
    """Dump the database into ``target``: pg_dump's custom format, mode 0600, checked with pg_restore.

    ``pg_dump`` is a name on PATH or a path; no program may take longer than ``timeout`` seconds.
    Raises PgDumpUnavailable when it is missing or older than the server, and OperationFailed for
    whatever else; either way no ``target`` remains.
    """
    client = _Client(url, timeout)
    program = _find(pg_dump)
    pg_restore = _find_beside(program, "pg_restore")
    with told_safely(url):
        client.require_version(program)
        with new_file(target):
            path = str(target.absolute())
            client.run(program, "--format=custom", f"--file={path}", "--no-password", client.dbname)
            client.run(pg_restore, "--list", path)


def require_pg_dump(url: str, pg_dump: str, timeout: float) -> None:
    """Could ``dump`` dump this database? PgDumpUnavailable and OperationFailed as there; nothing is written."""
    with told_safely(url):
        _Client(url, timeout).require_version(_find(pg_dump))


def load_dump(
    url: str,
    source: Path,
    *,
    pg_restore: str = "pg_restore",
    clean: bool = False,
    timeout: float,
) -> None:
    """Put a dump back in one transaction that may take ``timeout`` seconds, all or nothing.

    Without ``clean`` the database must hold no table; with it, what the dump holds is dropped first,
    which pg_restore cannot do to partitions with a primary key: these need an empty database.
    Raises OperationFailed.
    """
    client = _Client(url, timeout)
    options = ["--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges", "--no-password"]
    options += ["--clean", "--if-exists"] if clean else []
    with told_safely(url):
        if not clean:
            with connected(url) as connection, connection.cursor() as cursor:
                require_empty(cursor)
        try:
            client.run(_find(pg_restore), *options, client.dbname, str(source.absolute()))
        except PgDumpUnavailable as error:
            raise OperationFailed(str(error)) from None


def list_dump(source: Path, *, pg_restore: str = "pg_restore", timeout: float) -> None:
    """Have pg_restore read a dump's list of contents: ``OperationFailed``. Nothing where it is missing or too old."""
    try:
        with tempfile.TemporaryFile() as errors:
            done = subprocess.run(  # noqa: S603 - a list of arguments, no shell
                [_find(pg_restore), "--list", str(source.absolute())],
                env={**os.environ, "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                timeout=timeout,
                check=False,
            )
            reason = _beginning(errors)
    except PgDumpUnavailable:
        return
    except subprocess.TimeoutExpired:
        raise OperationFailed(f"pg_restore took longer than {timeout:g} s and was stopped") from None
    if done.returncode and not UNAVAILABLE.search(reason) and "unsupported version" not in reason:
        raise OperationFailed(f"pg_restore failed ({done.returncode}): {' '.join(reason.split())[:500]}")


def _find(program: str) -> str:
    if found := shutil.which(program):
        return found
    raise PgDumpUnavailable(f"{Path(program).name} is not there or may not be executed")


def _find_beside(program: str, name: str) -> str:
    # Of the same version when beside. The link is not followed: Debian's all lead to one wrapper.
    beside = Path(program).with_name(name)
    return _find(str(beside) if os.access(beside, os.X_OK) else name)


class _Client:
    """Runs PostgreSQL's programs against the database of one URL."""

    def __init__(self, url: str, timeout: float) -> None:
        parameters = parse_url(url)
        self._url = url
        self._timeout = timeout
        self._environment = _environment(parameters)
        # A process's arguments are for everyone to read, its environment is not.
        parameters.pop("password", None)
        self.dbname = f"--dbname={extensions.make_dsn(**parameters)}"

    def run(self, program: str, *arguments: str) -> str:
        """The standard output of a program that must succeed."""
        name, ended = Path(program).name, self._end_of([program, *arguments])
        if ended.status == 0:
            return ended.output
        if ended.status in (126, 127) or UNAVAILABLE.search(ended.errors):
            raise PgDumpUnavailable(f"{name} cannot be used here: {self._cause(ended.errors)}")
        raise OperationFailed(f"{name} failed ({ended.status}): {self._cause(ended.errors)}")

    def _cause(self, errors: str) -> str:
        # Warnings come first, and a detail after the error may be thousands of characters of SQL.
        return redacted(errors[max(errors.find("error:"), 0) :], self._url)

    def require_version(self, program: str) -> None:
        """Raise PgDumpUnavailable when the program is of an older major version than the server."""
        with connected(self._url) as connection:
            server = _major(connection.server_version // 10000, connection.server_version // 100 % 100)
        said = re.search(r"\(PostgreSQL\) (\d+)(?:\.(\d+))?", self._end_of([program, "--version"]).output)
        if said and _major(int(said[1]), int(said[2] or 0)) < server:
            raise PgDumpUnavailable(f"{said[0]} is older than the server, which is {server[0]}")

    def _end_of(self, command: list[str]) -> Finished:
        """Run a command to its end; at the timeout it is killed together with all it started."""
        # Files and not pipes: a grandchild that keeps a pipe open would be waited for.
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            process = self._start(command, output, errors)
            try:
                status = process.wait(self._timeout)
            except subprocess.TimeoutExpired:
                reason = f"{Path(command[0]).name} took longer than {self._timeout:g} s and was stopped"
                raise OperationFailed(reason) from None
            finally:
                _stop(process)
            return Finished(status, _beginning(output), _beginning(errors))

    def _start(self, command: list[str], output: IO[bytes], errors: IO[bytes]) -> Process:
        try:
            return subprocess.Popen(  # noqa: S603 - a list of arguments, no shell
                command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                start_new_session=True,
            )
        except OSError as error:
            raise PgDumpUnavailable(f"{Path(command[0]).name} cannot be run: {error.strerror}") from None


def _environment(parameters: dict[str, str]) -> dict[str, str]:
    # The rest is in --dbname; Debian's wrapper chooses a version, and needs the host to choose the newest.
    names = {"password": "PGPASSWORD", "host": "PGHOST", "connect_timeout": "PGCONNECT_TIMEOUT"}
    given = {names[key]: value for key, value in parameters.items() if key in names}
    # Untranslated, for the messages that are recognised here.
    return {**os.environ, "LC_ALL": "C", "PGCONNECT_TIMEOUT": CONNECT_SECONDS, **given}


def _major(first: int, second: int) -> tuple[int, int]:
    """15.4 is a minor release of 15, but 9.6 was a major one of its own."""
    return (first, second if first < 10 else 0)


def _stop(process: Process) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _beginning(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read(OUTPUT_BYTES).decode(errors="replace")
