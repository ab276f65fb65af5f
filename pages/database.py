"""A PostgreSQL database: dump it, export its tables, put either back.

``dump`` and ``load_dump`` run PostgreSQL's own pg_dump and pg_restore. ``export_tables``, ``check_export``
and ``import_tables`` do without them, and keep types, sequences and tables only: no views, functions,
triggers or extensions (``tables`` has the whole list). Every function takes a DATABASE_URL, which no
error message repeats.
"""

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple, TypeAlias

import psycopg2
from psycopg2 import extensions

from pages import tables
from pages.errors import OperationFailed
from pages.tables import Connection, check_export

__all__ = [
    "PgDumpUnavailable",
    "check_export",
    "dump",
    "export_tables",
    "import_tables",
    "load_dump",
    "parse_url",
]

# What libpq knows and a URL may say; the rest of a query string is for some ORM. Left out on purpose:
# client_encoding, since a backup is always UTF-8 or the server's own.
LIBPQ = """
    application_name channel_binding connect_timeout dbname fallback_application_name gssdelegation
    gssencmode gsslib host hostaddr keepalives keepalives_count keepalives_idle keepalives_interval
    krbsrvname load_balance_hosts options passfile password port require_auth requirepeer service
    ssl_max_protocol_version ssl_min_protocol_version sslcert sslcertmode sslcompression sslcrl sslcrldir
    sslkey sslmode sslnegotiation sslrootcert sslsni target_session_attrs tcp_user_timeout user
"""
KEYWORDS = frozenset(LIBPQ.split())
# Other drivers' words, and a bare "ssl"; libpq's "require" does not verify either.
SSL_MODES = {"": "require", "true": "require", "1": "require", "no-verify": "require"}
CONNECT_SECONDS = "10"
ERROR_CHARACTERS = 500
OUTPUT_BYTES = 1 << 16

NOT_A_URL = (
    "DATABASE_URL is not a usable PostgreSQL URL: check its scheme, host and port, and percent-encode "
    "special characters in the user and the password"
)
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


# --- The URL --------------------------------------------------------------------------------


def parse_url(url: str) -> dict[str, str]:
    """A DATABASE_URL as libpq's parameters, without what only SQLAlchemy, Prisma and the like understand.

    Raises OperationFailed, which repeats no part of the URL, when it cannot be parsed.
    """
    try:
        parameters: dict[str, str] = extensions.parse_dsn(_normalised(url.strip()))
    except (psycopg2.Error, ValueError):
        raise OperationFailed(NOT_A_URL) from None
    # libpq finds a wrong port only when it connects, and then prints it: it may be half a password.
    if not all(map(_is_port, parameters.get("port", "").split(","))):
        raise OperationFailed(NOT_A_URL)
    return parameters


def _is_port(text: str) -> bool:
    return re.fullmatch("[0-9]{0,5}", text) is not None and int(text or 1) in range(1, 65536)


def _normalised(url: str) -> str:
    match = re.fullmatch(r"(?is)postgres(?:ql)?(?:\+\w+)?://([^@/]*@)?([^?]*)(?:\?(.*))?", url)
    # Another @ means that one in the password is not encoded; libpq would take the rest for the host.
    if not match or "@" in match[2]:
        raise ValueError
    kept = [part for pair in (match[3] or "").split("&") if (part := _libpq_pair(pair))]
    return f"postgresql://{match[1] or ''}{match[2]}?{'&'.join(kept)}"


def _libpq_pair(pair: str) -> str:
    """A ``key=value`` of the query as libpq takes it; empty when it is not for libpq."""
    key, equals, value = pair.partition("=")
    if "@" in key or "/" in key or key == "sslpassword":
        # sslpassword has no environment variable: pg_dump could only be given it in plain sight.
        raise ValueError
    if key == "ssl":
        if value.lower() in ("false", "0"):
            return ""
        key, equals = "sslmode", "="
    if key == "sslmode":
        value = SSL_MODES.get(value.lower(), value)
    return f"{key}{equals}{value}" if key in KEYWORDS else ""


@contextmanager
def _told_safely(url: str) -> Iterator[None]:
    """Turn what goes wrong inside into an OperationFailed without secrets."""
    try:
        yield
    except psycopg2.Error as error:
        reason = error.diag.message_primary or str(error) or type(error).__name__
    except UnicodeError:
        reason = "the database holds text that is not in the encoding it declares"
    except OSError as error:
        reason = f"{Path(error.filename or '').name}: {error.strerror}"
    else:
        return
    # The original's text may hold secrets, so it is not shown as the cause.
    raise OperationFailed(_redacted(reason, url)) from None


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    parameters = {"connect_timeout": CONNECT_SECONDS, **parse_url(url), "client_encoding": "UTF8"}
    connection = psycopg2.connect(**parameters)
    try:
        yield connection
    finally:
        connection.close()


def _redacted(text: str, url: str) -> str:
    """The text on one line, at most 500 characters, without the URL or its password in any spelling."""
    text = text.replace(url.strip(), "***")
    if password := parse_url(url).get("password"):
        text = re.sub("".join(map(_spellings, password)), "***", text, flags=re.IGNORECASE)
    text = re.sub(r"(?i)postgres(?:ql)?(?:\+\w+)?://\S*", "***", text)
    return " ".join(text.split())[:ERROR_CHARACTERS]


def _spellings(character: str) -> str:
    """A pattern for a character as it is, after a backslash, or percent-encoded."""
    encoded = "".join(f"%{byte:02x}" for byte in character.encode())
    return rf"(?:\\?{re.escape(character)}|{encoded})"


# --- pg_dump and pg_restore -----------------------------------------------------------------


def dump(url: str, target: Path, *, pg_dump: str = "pg_dump", timeout: float) -> None:
    """Dump the database into ``target``: pg_dump's custom format, mode 0600, checked with pg_restore.

    ``pg_dump`` is a name on PATH or a path; no program may take longer than ``timeout`` seconds.
    Raises PgDumpUnavailable when it is missing or older than the server, and OperationFailed for
    whatever else; either way no ``target`` remains.
    """
    client = _Client(url, timeout)
    program = _find(pg_dump)
    pg_restore = _find_beside(program, "pg_restore")
    with _told_safely(url):
        client.require_version(program)
        with tables.new_file(target):
            path = str(target.absolute())
            client.run(program, "--format=custom", f"--file={path}", "--no-password", client.dbname)
            client.run(pg_restore, "--list", path)


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
    with _told_safely(url):
        if not clean:
            with _connected(url) as connection, connection.cursor() as cursor:
                tables.require_empty(cursor)
        try:
            client.run(_find(pg_restore), *options, client.dbname, str(source.absolute()))
        except PgDumpUnavailable as error:
            raise OperationFailed(str(error)) from None


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
        return _redacted(errors[max(errors.find("error:"), 0) :], self._url)

    def require_version(self, program: str) -> None:
        """Raise PgDumpUnavailable when the program is of an older major version than the server."""
        with _connected(self._url) as connection:
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


# --- Without pg_dump ------------------------------------------------------------------------


def export_tables(url: str, target: Path) -> None:
    """Write every user table, as of one moment, into one JSON document at ``target`` (mode 0600).

    Rows are streamed, so memory does not grow with a table. Views, functions, triggers and extensions
    are left out. Raises OperationFailed, and then no ``target`` remains.
    """
    with _told_safely(url), _connected(url) as connection:
        tables.export(connection, target)


def import_tables(url: str, source: Path, *, clean: bool = False) -> None:
    """Put a document of ``export_tables`` back in one transaction, all or nothing.

    Without ``clean`` the database must hold no table; with it, what the document holds is dropped first,
    along with the views and foreign keys that hang on it. Raises OperationFailed.
    """
    with _told_safely(url), _connected(url) as connection:
        tables.restore(connection, source, clean)
