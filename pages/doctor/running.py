"""What runs, and what keeps it safe: does the service answer, can the database be dumped, how old is a backup?"""

import json
import re
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from pathlib import Path

from pages import database
from pages.backups import Backups
from pages.doctor.findings import Examined, Finding, Findings, ok, problem, warning
from pages.errors import OperationFailed
from pages.registry import Registry

_SECONDS = 10
_TOO_OLD = timedelta(days=2)
_FULL = ".full.tar"


def service(examined: Examined) -> Findings:
    """Does it answer on its address, and say that it is healthy?"""
    url = f"http://{examined.config.address}/_api/healthz"
    request = urllib.request.Request(url)
    if examined.config.admin_hosts:
        request.add_header("Host", examined.config.admin_hosts[0])
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=_SECONDS) as reply:
            yield _judged(url, reply.status, reply.read())
    except urllib.error.HTTPError as error:
        with error:
            yield _judged(url, error.code, error.read())
    except OSError as error:
        reason = getattr(error, "reason", error)
        yield problem(f"no answer from {url}: {reason}", "start it: systemctl start pages, or pages serve")
    except HTTPException as error:  # Somebody who speaks something else, or stops in the middle.
        yield _foreign(f"{url} answers {str(error).strip()!r}")


def _judged(url: str, status: int, body: bytes) -> Finding:
    try:
        said = json.loads(body)["data"]["status"]
    except (ValueError, TypeError, KeyError):
        return _foreign(f"{url} answers {status}")
    if status == 200 and said == "healthy":
        return ok(f"{url} is healthy")
    return problem(f"{url} answers {status}, {said}", "its log says why: journalctl -u pages")


def _foreign(answers: str) -> Finding:
    return problem(f"{answers}, and not as Pages does", "another program may have the port: ss -ltnp")


def dumps(examined: Examined) -> Findings:
    """With a database: is there a pg_dump that can dump it?"""
    config = examined.config
    if not config.database_url:
        yield ok("none is set: backups hold records and metadata")
        return
    try:
        database.require_pg_dump(config.database_url, config.pg_dump_path or "pg_dump", _SECONDS)
        yield ok("pg_dump can dump it")
    except database.PgDumpUnavailable as error:
        todo = "install postgresql-client of the server's version, or name it in pg_dump_path"
        yield warning(f"{error}: backups are tables as JSON, without views, functions and triggers", todo)
    except OperationFailed as error:
        yield problem(f"it cannot be reached: {error}", "see database_url (DATABASE_URL)")


def newest_backup(examined: Examined) -> Findings:
    """How old are the newest ones, of the kinds that can bring everything back: a full one, and one of the database?"""
    config = examined.config
    newest = Backups(config, examined.paths, Registry(examined.paths, 0)).newest()
    full = next((path for path in newest if path.name.endswith(_FULL)), None)
    yield _aged(examined, "full backup", full, " --full")
    if config.database_url:
        other = next((path for path in newest if not path.name.endswith(_FULL)), None)
        yield _aged(examined, "backup of the database", other, "")


def _aged(examined: Examined, what: str, backup: Path | None, option: str) -> Finding:
    todo = f"enable deploy/pages-backup.timer, or run `pages backup{option}` every day"
    if backup is None:
        return warning(f"there is no {what} in {examined.config.backup_dir}", todo)
    age = examined.now - _made_at(backup)
    message = f"{backup.name} is {age.days} days and {age.seconds // 3600} hours old"
    return warning(message, todo) if age > _TOO_OLD else ok(message)


def _made_at(backup: Path) -> datetime:
    numbers = re.findall("[0-9]+", backup.name)[:6]
    return datetime(*map(int, numbers), tzinfo=UTC)  # type: ignore[misc,arg-type]
