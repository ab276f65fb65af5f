"""What is done while faults happen: for each scene what was there before, and the calls that faults hit.

Every step is a call of the API, on an application in this process.
"""

import hashlib
import io
import json
import logging
import os
import shutil
import tarfile
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from faults import injector
from helpers import basic, tar_of, zip_of
from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder, TestResponse

from pages.app import create_app
from pages.config import Config, load_config
from pages.model import now
from pages.work import run_now

_TEXT = "body { color: red } /* as long as it takes to be worth compressing */\n" * 8
SITE = "/_api/sites/default/blog"


def version(number: int, **more: bytes | str) -> dict[str, bytes | str]:
    """The files of one version: one is the same in all, one has a compressed twin, one folder is empty."""
    files = {"index.html": f"version {number} " + _TEXT, "a/same.txt": "same", "a/b/style.css": _TEXT, "empty/": ""}
    return {**files, f"{number}.txt": str(number), **more}


_MANY = {f"d{number % 7}/{number}.txt": str(number) for number in range(130)}
_LARGE = "".join(f"line {number}\n" for number in range(130_000))  # 1.5 MB of text.


def odd_tar(files: dict[str, bytes | str]) -> bytes:
    """A tar.gz with what a Mac adds: it is no checkpoint as it came."""
    return tar_of({**files, ".DS_Store": "x"})


def plain_tar(files: dict[str, bytes | str]) -> bytes:
    """A tar.gz with folders and files and no more: it is kept as it came."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        folder = tarfile.TarInfo("a")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(folder)
        for name, content in files.items():
            if not name.endswith("/"):
                data = content.encode() if isinstance(content, str) else content
                info = tarfile.TarInfo(name)
                info.size, info.mtime, info.mode = len(data), 1_700_000_000, 0o644
                archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def config_on(root: Path) -> Config:
    """Settings with the data and the backups below ``root``."""
    settings = {
        "PAGES_DATA_DIR": str(root / "data"),
        "PAGES_BACKUP_DIR": str(root / "backups"),
        "PAGES_LOCK_TIMEOUT": "5",
        "PAGES_MIN_FREE_BYTES": "0",  # The disks that are made for power cuts are small.
        "PAGES_WARM_CHECKPOINTS": "2",
    }
    return load_config(settings)


class World:
    """An application on ``root``/data, and somebody who calls its API."""

    def __init__(self, root: Path) -> None:
        self.data = root / "data"
        self.app = create_app(config_on(root), run_now)
        self.client = self.app.test_client()

    def call(self, method: str, path: str, body: Any = None, key: str = "", **form: Any) -> TestResponse:
        more = {"data": form} if form else {} if body is None else {"json": body}
        headers = {**basic(), "Idempotency-Key": key} if key else basic()
        return self.client.open(path, method=method, headers=headers, **more)

    def ids(self) -> list[str]:
        """The ids of the site's checkpoints, oldest first."""
        with injector.unseen():
            metadata = json.loads((self.data / "sites-checkpoints/default/blog/metadata.json").read_bytes())
        return [checkpoint["id"] for checkpoint in metadata["checkpoints"]][::-1]


Step = Callable[[World], TestResponse]


def create(world: World) -> TestResponse:
    return world.call("POST", "/_api/sites", {"id": "blog", "domain": "blog.localhost"})


def deploy(archive: bytes, name: str = "site.zip") -> Step:
    return lambda world: world.call("POST", f"{SITE}/deploy", file=(io.BytesIO(archive), name))


def deploy_version(number: int, **more: bytes | str) -> Step:
    return deploy(zip_of(version(number, **more)))


def deploy_aside(number: int) -> Step:
    """A version that does not go live."""
    archive = zip_of(version(number))
    return lambda world: world.call("POST", f"{SITE}/deploy?activate=false", file=(io.BytesIO(archive), "site.zip"))


def deploy_once(number: int, key: str) -> Step:
    archive = zip_of(version(number))
    return lambda world: world.call("POST", f"{SITE}/deploy", key=key, file=(io.BytesIO(archive), "site.zip"))


def deploy_difference(number: int) -> Step:
    """A version of which only one file is sent; the others are copied from what is live."""
    wanted = {name: hashlib.sha256(str(content).encode()).hexdigest() for name, content in version(number).items()}
    wanted.pop("empty/")
    manifest = json.dumps({"files": wanted, "folders": ["empty"]}).encode()
    archive = zip_of({name: version(number)[name] for name in ("index.html", f"{number}.txt")})

    def step(world: World) -> TestResponse:
        form = {"manifest": (io.BytesIO(manifest), "manifest.json"), "file": (io.BytesIO(archive), "site.zip")}
        return world.call("POST", f"{SITE}/deploy", **form)

    return step


def checkout(index: int, *, confirm_within: int = 0, in_hours: int = 0) -> Step:
    def step(world: World) -> TestResponse:
        query = {"confirm_within": confirm_within} if confirm_within else {}
        at = {"at": (now() + timedelta(hours=in_hours)).isoformat()} if in_hours else {}
        path = f"{SITE}/checkpoints/{world.ids()[index]}/checkout"
        return world.call("POST", f"{path}?{urlencode({**query, **at})}")

    return step


def confirm(index: int) -> Step:
    return lambda world: world.call("POST", f"{SITE}/checkpoints/{world.ids()[index]}/confirm")


def cancel(world: World) -> TestResponse:
    return world.call("DELETE", f"{SITE}/plan")


def run_due(in_hours: int) -> Step:
    """What a worker's clock does when so many hours are over; 503 for what has to be tried again."""

    def step(world: World) -> TestResponse:
        time = now() + timedelta(hours=in_hours)
        with suppress(OSError):  # The clock's thread logs it, and asks again a second later.
            world.app.extensions["pages"].plans.run_due(time)
        with injector.unseen():
            left = [name for name in os.listdir(world.data / "due") if int(name.partition(",")[0]) < time.timestamp()]
        if not left:
            return world.call("GET", SITE)
        request = EnvironBuilder(path="/a-clock").get_request()
        return TestResponse([b'{"success": false}'], "503 Service Unavailable", Headers(), request)

    return step


def pin(index: int) -> Step:
    return lambda world: world.call("PUT", f"{SITE}/checkpoints/{world.ids()[index]}", {"pinned": True})


def preview(index: int) -> Step:
    return lambda world: world.call("POST", f"{SITE}/checkpoints/{world.ids()[index]}/preview", {"expires_in": 3600})


def revoke(world: World) -> TestResponse:
    return world.call("DELETE", f"{SITE}/previews")


def prune(count: int) -> Step:
    return lambda world: world.call("POST", f"{SITE}/checkpoints/prune", {"count": count})


def delete_checkpoint(index: int) -> Step:
    return lambda world: world.call("DELETE", f"{SITE}/checkpoints/{world.ids()[index]}")


def update(**changes: Any) -> Step:
    return lambda world: world.call("PUT", SITE, changes)


def delete(world: World) -> TestResponse:
    return world.call("DELETE", SITE)


def snapshot(world: World) -> TestResponse:
    return world.call("POST", f"{SITE}/checkpoints", {"description": "by hand"})


def first_start(world: World) -> TestResponse:
    with injector.unseen():
        shutil.rmtree(world.data)
    create_app(config_on(world.data.parent), run_now)
    return world.call("GET", "/_api/health")


def reload(world: World) -> TestResponse:
    return world.call("POST", "/_api/reload")


def maintenance(action: str) -> Step:
    return lambda world: world.call("POST", "/api/admin/maintenance", {"action": action})


def edit_by_hand(world: World) -> TestResponse:
    (world.data / "sites/default/blog/index.html").write_text("edited")
    return world.call("GET", SITE)


def own_folder(world: World) -> TestResponse:
    root = world.data / "sites/default/blog"
    root.unlink()
    root.mkdir()
    (root / "index.html").write_text("by hand")
    return world.call("GET", SITE)


def prepared_folder(world: World) -> TestResponse:
    (world.data / "sites/default").mkdir(exist_ok=True)
    (world.data / "sites/default/blog").mkdir()
    (world.data / "sites/default/blog/index.html").write_text("by hand")
    return world.call("GET", "/_api/sites")


def other_site(world: World) -> TestResponse:
    return world.call("POST", "/_api/sites", {"id": "other", "domain": "other.localhost"})


# With these nginx may not serve a version by itself.
_RULES: dict[str, bytes | str] = {"_redirects": "/a /b\n", "_headers": "/*\n  X-Own: yes\n"}
_ONE = [create, deploy_version(1)]
_THREE = [create, deploy_version(1), deploy_version(2), deploy_version(3)]

_ALIASED = [*_ONE, update(aliases=["www.localhost", "*.blog.localhost"], alias_mode="serve")]
_RULES = {"_redirects": "/old /new 301\n", "_headers": "/*\n  X-Own: yes\n"}
_COLD = [*_THREE, deploy_version(4), maintenance("clear-cache")]

# Name: (what is there before, what is done while faults happen).
SCENES: dict[str, tuple[list[Step], list[Step]]] = {
    "create": ([], [create]),
    "create beside another": ([other_site], [create]),
    "create over a folder": ([prepared_folder], [create]),
    "change domain": (_ONE, [update(domain="new.localhost")]),
    "disable": (_ONE, [update(enabled=False)]),
    "enable": ([*_ONE, update(enabled=False)], [update(enabled=True)]),
    "first deploy": ([create], [deploy_version(1)]),
    "second deploy": (_ONE, [deploy_version(2)]),
    "fourth deploy": (_THREE, [deploy_version(4)]),
    "deploy a tar.gz": (_ONE, [deploy(odd_tar(version(2)), "site.tar.gz")]),
    "deploy a tar.gz kept as it came": (_ONE, [deploy(plain_tar(version(2)), "site.tgz")]),
    "deploy the difference": (_ONE, [deploy_difference(2)]),
    "deploy over a folder": ([*_ONE, own_folder], [deploy_version(2)]),
    "gain rules": (_ONE, [deploy_version(2, **_RULES)]),
    "lose rules": ([create, deploy_version(1, **_RULES)], [deploy_version(2)]),
    "back to rules": ([create, deploy_version(1, **_RULES), deploy_version(2)], [checkout(0)]),
    "snapshot": ([*_ONE, edit_by_hand], [snapshot]),
    "warm checkout": (_THREE, [checkout(1)]),
    "cold checkout": ([*_THREE, deploy_version(4), maintenance("clear-cache")], [checkout(0)]),
    "delete checkpoint": (_THREE, [delete_checkpoint(1)]),
    "delete": (_THREE, [delete]),
    "delete beside another": ([other_site, *_ONE], [delete]),
    "change aliases": (_ALIASED, [update(aliases=["www.localhost", "two.localhost", "*.three.localhost"])]),
    "swap domain and alias": (_ALIASED, [update(domain="www.localhost", aliases=["blog.localhost"])]),
    "change how aliases are answered": (_ALIASED, [update(alias_mode="redirect")]),
    "change settings": (_ALIASED, [update(clean_urls=True, retention={"count": 3})]),
    "delete with aliases": ([other_site, *_ALIASED], [delete]),
    "deploy the first rules": (_ALIASED, [deploy_version(2, **_RULES)]),
    "deploy without rules again": ([*_ALIASED, deploy_version(2, **_RULES)], [deploy_version(3)]),
    "checkout of rules": ([*_ALIASED, deploy_version(2, **_RULES), deploy_version(3)], [checkout(1)]),
    "deploy without going live": (_ONE, [deploy_aside(2)]),
    "deploy once": (_ONE, [deploy_once(2, "a key"), deploy_once(2, "a key")]),
    "pin": (_THREE, [pin(0)]),
    "checkout with a net": (_THREE, [checkout(0, confirm_within=3600)]),
    "another checkout with a net": ([*_THREE, checkout(0, confirm_within=3600)], [checkout(1, confirm_within=7200)]),
    "confirm": ([*_THREE, checkout(0, confirm_within=3600)], [confirm(0)]),
    "return": ([*_THREE, checkout(0, confirm_within=3600)], [run_due(2)]),
    "deploy over a net": ([*_THREE, checkout(0, confirm_within=3600)], [deploy_version(4)]),
    "plan": (_THREE, [checkout(0, in_hours=1)]),
    "plan otherwise": ([*_THREE, checkout(0, in_hours=1)], [checkout(1, in_hours=2, confirm_within=60)]),
    "cancel": ([*_THREE, checkout(0, in_hours=1)], [cancel]),
    "planned switch": ([*_THREE, checkout(1, in_hours=1)], [run_due(2)]),
    "cold planned switch with a net": ([*_COLD, checkout(0, in_hours=1, confirm_within=60)], [run_due(2)]),
    "return and planned switch": (
        [*_THREE, checkout(0, confirm_within=3600), checkout(1, in_hours=3)],
        [run_due(2), run_due(4)],
    ),
    "delete with a plan": ([*_THREE, checkout(1, in_hours=1)], [delete]),
    "preview": (_THREE, [preview(1)]),
    "another preview": ([*_COLD, preview(1)], [preview(0)]),
    "revoke": ([*_THREE, preview(1)], [revoke]),
    "prune": ([*_THREE, pin(0)], [prune(1)]),
    "backup": (_ONE, [maintenance("backup")]),
    "clear cache": ([*_THREE, deploy_version(4)], [maintenance("clear-cache")]),
    "reload": (_THREE, [reload]),
    "a life": (
        [other_site],
        [
            create,
            deploy_version(1),
            deploy_version(2),
            checkout(0),
            update(domain="new.localhost"),
            delete_checkpoint(1),
            maintenance("backup"),
            delete,
            create,
        ],
    ),
    "a life with plans": (
        [other_site],
        [
            create,
            update(aliases=["www.localhost"], alias_mode="serve"),
            deploy_once(1, "first"),
            deploy_aside(2),
            preview(1),
            checkout(1, confirm_within=3600),
            confirm(1),
            checkout(0, in_hours=1, confirm_within=60),
            deploy_version(3, **_RULES),
            run_due(2),
            run_due(3),
            pin(1),
            prune(1),
            revoke,
            delete,
            create,
        ],
    ),
}

# With hundreds of calls each: for the lint, and for samples.
LONG_SCENES: dict[str, tuple[list[Step], list[Step]]] = {
    "deploy many files": (
        [create, deploy(zip_of({**version(1), **_MANY}))],
        [deploy(zip_of({**version(2), **_MANY})), checkout(0), deploy_version(3)],
    ),
    "deploy much text": ([create], [deploy_version(1, **{"large.txt": _LARGE}), deploy_version(2, large=_LARGE)]),
}

# No crash is judged in these.
LINT_SCENES: dict[str, tuple[list[Step], list[Step]]] = {"first start": ([], [first_start, create])}


def goes_on(world: World) -> list[str]:
    """After a fault everything works: what does not."""
    steps = [deploy_version(8), deploy_version(9), checkout(-2), delete_checkpoint(-1), delete, create]
    if not (world.data / "registry/default/blog.json").exists():
        steps.insert(0, create)
    for step in steps:
        reply = step(world)
        if reply.status_code >= 300:
            return [f"afterwards: {reply.request.method} {reply.request.path}: {reply.status_code} {reply.text}"]
    return []


class Errors(logging.Handler):
    """Remembers what was logged with an exception that is no fault of the disk's."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and not isinstance(error, OSError):
            self.found.append(f"{type(error).__name__}: {error}")


def be_quiet() -> Errors:
    """No log on standard error (unless FAULTS_LOG is set); returns what remembers exceptions."""
    errors = Errors()
    logger = logging.getLogger("pages")
    logger.handlers = [errors, *([logging.StreamHandler()] if os.environ.get("FAULTS_LOG") else [])]
    logger.propagate = False
    return errors
