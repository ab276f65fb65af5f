"""Which server a command asks, as whom, and about which site: options, environment, files, in that order."""

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pages.client import address
from pages.client.credentials import Credentials
from pages.client.exits import DENIED, USAGE, Failed
from pages.model import is_name

_HERE = ".pages.toml"


@dataclass(frozen=True)
class Server:
    """Where to ask and as whom: with a token, or with a user's name and password.

    ``host`` is the name to ask for where it is not the address's. ``may_be_read``: the secret may be sent
    unencrypted over a network.
    """

    url: str
    token: str = field(default="", repr=False)
    user: str = ""
    password: str = field(default="", repr=False)
    host: str = ""
    may_be_read: bool = False

    def check(self) -> None:
        """``Failed`` when a secret would be sent so that others can read it, or cannot be sent at all."""
        if not (self.token.isascii() and self.token.isprintable()):  # A refusal by the library would show it.
            raise Failed("the token is none: it is pages_, an id and a secret, in one line of ASCII", USAGE)
        if not self.may_be_read and address.is_readable_on_the_way(self.url):
            raise Failed(
                f"{self.url} is not encrypted: whoever is on the way could read the token. Use https, "
                "or --insecure-http where the network is yours.",
                USAGE,
            )


class Servers:
    """Finds the server that a command is meant for.

    ``.pages.toml`` is looked for here and in ``folder``, which has the first word.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ, folder: Path = Path()) -> None:
        self._environ = environ
        self._credentials = Credentials(environ)
        self._folder = folder

    def _here(self) -> dict[str, str]:
        return settings_in(Path()) | settings_in(self._folder)

    def chosen(self, url: str | None = None, insecure_http: bool = False) -> Server:
        """The server, with what opens it. ``Failed`` when none is known, or nothing to open it with."""
        named, is_ours = self.named(url)
        token = self._environ.get("PAGES_TOKEN", "").strip()  # Of a file, with the end of its line.
        if named:
            return self._known(named, token if is_ours else "", insecure_http)
        if token:
            raise Failed("PAGES_TOKEN is for which server? Set PAGES_URL, or give --url.", USAGE)
        return configured(self._environ)

    def named(self, url: str | None) -> tuple[str, bool]:
        """The server's address, "" where none is named, and whether the environment's token is meant for it.

        It is not where only a file says so: that may have come from elsewhere together with its folder.
        """
        if url or (url := self._environ.get("PAGES_URL")):
            return address.parsed(url), True
        if here := self._here().get("url"):
            return address.parsed(here), False
        login = self._credentials.current()
        return (login.url if login else ""), True

    def check_pipe(self, url: str | None) -> None:
        """``Failed`` when a secret from a pipe would go to a server that only a file names: nobody sees it go."""
        named, is_ours = self.named(url)
        if not is_ours and self._credentials.of(named) is None:
            raise Failed(f"only a {_HERE} names {named}: name it yourself (PAGES_URL), if you mean it", USAGE)

    def by_password(self, url: str | None, insecure_http: bool, ask: Callable[[str, str], tuple[str, str]]) -> Server:
        """The server, to be opened with a password: ``ask`` gets its address and the last user there."""
        named, _ = self.named(url)
        if not named:
            return configured(self._environ)
        login = self._credentials.of(named)
        server = Server(named, may_be_read=insecure_http or (login is not None and login.insecure_http))
        server.check()  # Before anybody types a password.
        user, password = ask(named, login.user if login else "")
        return replace(server, user=user, password=password)

    def _known(self, url: str, token: str, insecure_http: bool) -> Server:
        login = self._credentials.of(url)
        if not token and login is None:
            raise Failed(f"not logged in to {url}: pages login {url}", DENIED)
        allowed = insecure_http or (login is not None and login.insecure_http)
        return Server(url, token or (login.token if login else ""), may_be_read=allowed)

    def site(self, named: str | None) -> str:
        """The site that a command is about, as TENANT/ID; ``Failed`` when it is not said."""
        site = named or self._environ.get("PAGES_SITE") or self._here().get("site")
        if not site:
            raise Failed("which site? Give --site TENANT/ID, or set PAGES_SITE.", USAGE)
        return checked_site(site)


def checked_site(text: str) -> str:
    """TENANT/ID as it is; ``Failed`` for anything else."""
    username, _, site_id = text.partition("/")
    if not (is_name(username) and is_name(site_id)):
        raise Failed(f"{text!r} is no TENANT/ID, as default/blog is", USAGE)
    return text


def settings_in(folder: Path) -> dict[str, str]:
    """What the folder's ``.pages.toml`` says: ``site`` and ``url``; ``Failed`` for anything else in it."""
    path = folder / _HERE
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except ValueError:
        raise Failed(f"{path} is no TOML", USAGE) from None
    for name, value in found.items():
        if name not in ("site", "url"):
            hint = ": a secret does not belong there" if "token" in name or "pass" in name else ""
            raise Failed(f"{path} may say site and url, not {name}{hint}", USAGE)
        if not isinstance(value, str):
            raise Failed(f"{path}: {name} must be a string", USAGE)
    return found


def configured(environ: Mapping[str, str]) -> Server:
    """The installation whose config.toml is here, with its admin's password; ``Failed`` where there is none."""
    if "PAGES_CONFIG" not in environ and not Path("config.toml").is_file():
        raise Failed("not logged in: pages login URL", DENIED)
    from pages.config import load_config  # Not for who has never had a server.
    from pages.errors import ConfigError

    try:
        config = load_config(environ)
    except ConfigError as error:
        raise Failed(f"not logged in (pages login URL), and the config.toml here is no help: {error}", DENIED) from None
    if config.admin_pass.startswith(("scrypt:", "pbkdf2:")):
        raise Failed("admin_pass is a hash: give the password itself in PAGES_ADMIN_PASS, or log in", DENIED)
    if not address.can_be_listened_on(config.host):  # Somebody else's config.toml, who would like the password.
        raise Failed(f"not logged in (pages login URL), and {config.host} of the config.toml is not here", DENIED)
    return Server(
        f"http://{config.address}",
        user=config.admin_user,
        password=config.admin_pass,
        host=next(iter(config.admin_hosts), ""),
        may_be_read=True,  # The address is one of this machine.
    )
