"""Where somebody is signed in: ``credentials.json`` in the folder for settings, readable by them alone."""

import errno
import fcntl
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from pages.client.exits import Failed


@dataclass(frozen=True)
class Login:
    """One server and the token for it. ``insecure_http``: it may be sent unencrypted."""

    url: str
    token: str = field(repr=False)
    token_id: str = ""
    user: str = ""
    expires_at: str = ""
    insecure_http: bool = False


class Credentials:
    """All logins of a person, and which one was the last."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    @property
    def path(self) -> Path:
        """Where they are; ``FileNotFoundError`` for who has no home."""
        return folder_for("XDG_CONFIG_HOME", ".config", self._environ) / "credentials.json"

    def current(self) -> Login | None:
        """The login that holds where no server is named."""
        logins, current = self._read()
        return logins.get(current)

    def of(self, url: str) -> Login | None:
        """The login to one server."""
        return self._read()[0].get(url)

    def store(self, login: Login) -> None:
        """Remember a login; from now on it is the current one."""
        with self._alone():
            logins, _ = self._read()
            self._write({**logins, login.url: login}, login.url)

    def forget(self, url: str) -> None:
        """Forget the login to a server; of those left, the last one that was stored is current."""
        with self._alone():
            logins, current = self._read()
            left = {name: login for name, login in logins.items() if name != url}
            self._write(left, current if current in left else next(reversed(left), ""))

    def _read(self) -> tuple[dict[str, Login], str]:
        try:
            content = json.loads(self.path.read_bytes())
            logins = {url: _login(url, values) for url, values in content["servers"].items()}
            return logins, str(content["current"])
        except FileNotFoundError:
            return {}, ""
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Failed(f"{self.path} is damaged: remove it and log in again") from None

    def _write(self, logins: Mapping[str, Login], current: str) -> None:
        servers = {url: {name: value for name, value in asdict(login).items() if name != "url"}
                   for url, login in logins.items()}  # fmt: skip
        write_privately(self.path, json.dumps({"current": current, "servers": servers}, indent=2))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Two logins at the same time are both kept."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self.path.parent, os.O_RDONLY)
        try:
            with suppress(OSError):  # Not every disk has locks.
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def folder_for(variable: str, below_home: str, environ: Mapping[str, str]) -> Path:
    """The folder of ours for one kind of file, as the XDG Base Directory Specification has it.

    ``FileNotFoundError`` for who has no home, as in a container under a number without a name.
    """
    named = environ.get(variable, "")
    if os.path.isabs(named):
        return Path(named, "pages")
    try:
        return Path.home() / below_home / "pages"
    except RuntimeError:
        raise FileNotFoundError(errno.ENOENT, f"there is no home folder: set HOME or {variable}") from None


def write_privately(path: Path, content: str) -> None:
    """Replace a file at once by one that its owner alone can read."""
    descriptor, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # Its mode is 0600.
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(content)
        os.replace(beside, path)
    except BaseException:
        os.unlink(beside)
        raise


def _login(url: str, values: Mapping[str, Any]) -> Login:
    known = {each.name for each in fields(Login)} - {"url"}
    return Login(url, **{name: value for name, value in values.items() if name in known})
