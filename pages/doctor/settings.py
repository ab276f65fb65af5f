"""The settings that work and are not wise: passwords, and hosts for the API."""

import os
import stat
from contextlib import suppress
from pathlib import Path

from pages import passwords
from pages.doctor.findings import Examined, Findings, ok, problem, warning
from pages.errors import SiteBroken, SiteNotFound
from pages.registry import Registry

_FOR_ALL = stat.S_IRGRP | stat.S_IROTH


def password(examined: Examined) -> Findings:
    """Is it still the one that everybody knows, or one that others on this machine can read?"""
    config = examined.config
    if passwords.matches(config.admin_pass, "admin"):
        todo = "put the output of `pages hash-password` into admin_pass"
        if config.host in ("127.0.0.1", "::1", "localhost"):
            yield warning("the password is still 'admin'", todo)
        else:
            yield problem(f"the password is still 'admin', and {config.host} can be reached by others", todo)
        return
    plain = [name for name, stored in _stored(examined) if not passwords.is_hash(stored)]
    file = settings_file()
    if plain and file and file.stat().st_mode & _FOR_ALL:
        message = f"{', '.join(plain)} in plain text, and {file} can be read by other users"
        yield warning(message, f"put hashes there (`pages hash-password`), or: chmod 0600 {file}")
    else:
        yield ok("it is not 'admin'")


def admin_hosts(examined: Examined) -> Findings:
    """Is the API kept off the domains of sites?"""
    config = examined.config
    registry = Registry(examined.paths, 0)
    for host in config.admin_hosts:
        with suppress(SiteNotFound, SiteBroken):
            site = registry.owner_of(host)
            if not config.may_serve(site.username, host):
                todo = "give the site another domain, or the API another host"
                yield warning(f"the domains of {site.username}/{site.id} cover {host}, where it is not served", todo)
    if config.admin_hosts:
        yield ok(f"the API is on {', '.join(config.admin_hosts)} alone")
    elif config.is_production:
        todo = "name a host that is no site's in admin_hosts (docs/operations.md, Browsers)"
        yield warning("the API is on every host: a page of a tenant can act as whoever logs in there", todo)
    else:
        yield ok("the API is on every host, which is for development")


def settings_file() -> Path | None:
    """Where settings are read from; None while there is no file."""
    path = Path(os.environ.get("PAGES_CONFIG") or "config.toml").absolute()
    return path if path.is_file() else None


def _stored(examined: Examined) -> list[tuple[str, str]]:
    """The passwords that stand in the file."""
    users = [(f"the password of {name}", stored) for name, stored in examined.config.users.items()]
    of_admin = [] if "PAGES_ADMIN_PASS" in os.environ else [("admin_pass", examined.config.admin_pass)]
    return of_admin + users
