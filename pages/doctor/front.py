"""nginx in front: is it there, does it have the configuration that belongs to these settings, may it read the sites?"""

import difflib
import re
import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from pages.config import Config
from pages.doctor import nginx_files
from pages.doctor.certificate import end_of
from pages.doctor.findings import Examined, Findings, ok, problem, warning
from pages.nginx import nginx_config
from pages.nginx_tls import Tls

_OURS = "made by `pages nginx-config` for the installation in {}."
_CERTIFICATES = re.compile(r'default "([^"]+)/names/none";')
_LISTEN = re.compile(r"^ +listen (\S+)((?: ssl)?).*default_server;$", re.MULTILINE)
_READ, _WRITE, _ENTER = 4, 2, 1
_SOON = timedelta(days=14)
_GUIDE = "deploy/README.md has the lines"


def nginx(examined: Examined) -> Findings:
    """Does nginx's configuration include what `pages nginx-config` prints now?"""
    if examined.nginx is None:
        yield from _without_nginx(examined.config)
        return
    ours = _our_files(examined)
    if not ours:
        told = problem if examined.config.is_production else warning
        yield told(f"{examined.nginx} includes nothing for {examined.config.data_dir}: nginx does not serve it", _GUIDE)
    for path, text in ours.items():
        yield from _up_to_date(examined.config, path, text)


def _without_nginx(config: Config) -> Findings:
    if shutil.which("caddy"):
        yield ok("not installed, but Caddy is")
    elif config.is_production:
        yield warning("not installed: slow clients and TLS are left to gunicorn, and every page costs Python", _GUIDE)
    else:
        yield ok("not installed, which is for development")


def _our_files(examined: Examined) -> dict[Path, str]:
    assert examined.nginx is not None  # noqa: S101 - for mypy; the caller has looked
    mark = _OURS.format(examined.config.data_dir)
    return {path: text for path, text in nginx_files.read(examined.nginx).items() if mark in text}


def _up_to_date(config: Config, path: Path, text: str) -> Findings:
    listen, tls = _options(text)
    options = f" --listen {listen}" + (f" --certificates {tls.certificates} --listen-plain {tls.plain}" if tls else "")
    present = nginx_config(config, listen, tls)
    if present == text:
        yield ok(f"{path} is what these settings and this version need")
        return
    differences = difflib.unified_diff(text.splitlines(), present.splitlines(), n=0, lineterm="")
    changed = sum(line[0] in "+-" for line in list(differences)[2:])
    todo = f"make it again: pages nginx-config{options} > {path} && nginx -t && systemctl reload nginx"
    yield warning(f"{path} differs in {changed} lines from what these settings and this version need", todo)


def _options(text: str) -> tuple[str, Tls | None]:
    """What `pages nginx-config` was told when it made this."""
    listen = {ssl: address for address, ssl in _LISTEN.findall(text)}
    folder = _CERTIFICATES.search(text)
    if folder and " ssl" in listen:
        return listen[" ssl"], Tls(Path(folder[1]), listen.get("", "80"))
    return listen.get("", "80"), None


def access(examined: Examined) -> Findings:
    """May nginx's user read the sites and reach the socket, as far as modes tell?"""
    user = _user(examined)
    if user is None or not examined.paths.data.is_dir():
        return
    refused = [str(path) for path, wanted in _needed(examined) if path.exists() and not user.may(path, wanted)]
    if refused:
        todo = f"put it into the folder's group (usermod -aG GROUP {user.name}, then restart nginx), or chmod g+rX"
        yield problem(f"nginx's user {user.name} may not use {', '.join(refused)}", todo)
    else:
        yield ok(f"nginx's user {user.name} may read the sites")


def _user(examined: Examined) -> nginx_files.Account | None:
    if examined.nginx is None or not _our_files(examined):
        return None
    program = nginx_files.program()
    built_in = nginx_files.built_in(program) if program else {}
    return nginx_files.account(examined.nginx.read_text(encoding="utf-8", errors="replace"), built_in.get("user"))


def _needed(examined: Examined) -> Iterator[tuple[Path, int]]:
    """Paths, and what nginx does with them: folders on the way, one site for all of them, the socket."""
    paths = examined.paths
    yield from ((folder, _ENTER) for folder in (paths.data, *paths.data.parents))
    yield from ((folder, _READ | _ENTER) for folder in (paths.public, paths.sites, paths.trees, paths.cache))
    site = next(iter(sorted(paths.public.iterdir())), None) if paths.public.is_dir() else None
    if site and site.exists():
        yield site.resolve(), _READ | _ENTER
    if examined.config.socket:
        yield examined.config.socket, _WRITE


def certificates(examined: Examined) -> Findings:
    """When do they end? In the folder that was named, or that nginx's configuration names."""
    folder = examined.certificates or _configured(examined)
    if folder is None:
        return
    files = sorted((folder / "names").glob("*.pem"))
    ends = {path: end_of(path) for path in files}
    if unreadable := [path.name for path, end in ends.items() if end is None]:
        yield problem(f"no certificate in {', '.join(unreadable)}", f"take it out of {folder}/names, or get it anew")
    known = {path: end for path, end in ends.items() if end is not None}
    late = {path: end for path, end in known.items() if end < examined.now + _SOON}
    for path, end in late.items():
        told = problem if end < examined.now else warning
        yield told(f"{path.stem} ends {_day(end)}", "renewal has failed: see its log (certbot renew --dry-run)")
    if len(late) < len(known) or not files:
        rest = [end for path, end in known.items() if path not in late]
        yield ok(f"{len(rest)} sound in {folder}" + (f", the first ends {_day(min(rest))}" if rest else ""))


def _configured(examined: Examined) -> Path | None:
    if examined.nginx is None:
        return None
    found = [_CERTIFICATES.search(text) for text in _our_files(examined).values()]
    return next((Path(match[1]) for match in found if match), None)


def _day(end: datetime) -> str:
    return end.date().isoformat()
