"""Switches to come, previews, pins and limits, attacked: by a busy registry, by each other, by hand, in numbers."""

import errno
import hashlib
import io
import itertools
import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from faults.invariants import nginx_violations, orphans, state, violations
from flask import Flask
from helpers import Admin, assert_failure, assert_success, zip_of
from werkzeug.test import TestResponse

from pages import files
from pages.app import create_app
from pages.config import Config
from pages.due import Due
from pages.errors import SiteBusy
from pages.model import Site, now
from pages.publish import Publisher, Terms
from pages.services import Services
from pages.uploads import Sent

SITE = "/_api/sites/default/blog"
METADATA = "sites-checkpoints/default/blog/metadata.json"
HOUR = timedelta(hours=1)
RULES = {"_redirects": "/old /new 301\n"}
Step = Callable[["Ground", list[str]], None]


class Ground:
    """The site ``default/blog``, by the API and from behind it."""

    def __init__(self, app: Flask) -> None:
        self.services: Services = app.extensions["pages"]
        self.data = self.services.config.data_dir
        self.admin = Admin(app.test_client(use_cookies=False))
        with suppress(AssertionError):
            self.admin.create("blog")

    @property
    def site(self) -> Site:
        return self.services.registry.get("default", "blog")

    def deployed(self, count: int, **more: bytes | str) -> list[str]:
        """So many versions; their checkpoints, oldest first."""
        return [str(self.admin.deployed({"index.html": f"version {n}", **more})["id"]) for n in range(count)]

    def post(self, checkpoint_id: str, call: str, **body: Any) -> Any:
        reply = self.admin.post(f"{SITE}/checkpoints/{checkpoint_id}/{call}", **({"json": body} if body else {}))
        return assert_success(reply, reply.status_code)

    def plan(self, checkpoint_id: str, hours: float = 1.0) -> None:
        at = (now() + hours * HOUR).isoformat().replace("+", "%2B")
        self.post(checkpoint_id, f"checkout?at={at}")

    def run_due(self, hours: float = 2.0) -> None:
        """What a worker's clock does at that time; each time as one that has not waited for anything yet."""
        self.services.plans._not_before.clear()
        self.services.plans.run_due(now() + hours * HOUR)

    def metadata(self) -> Any:
        return json.loads((self.data / METADATA).read_bytes())

    def edit(self, **changes: Any) -> None:
        """By hand."""
        (self.data / METADATA).write_text(json.dumps({**self.metadata(), **changes}))

    def wrong(self) -> list[str]:
        return violations(self.data) + orphans(self.data)

    def due(self) -> list[str]:
        return sorted(os.listdir(self.data / "due"))

    def trees(self) -> list[str]:
        return [name.partition(".")[0] for name in os.listdir(self.data / "trees/default/blog")]


@pytest.fixture
def make_ground(make_app: Callable[..., Flask]) -> Callable[..., Ground]:
    return lambda **settings: Ground(make_app(**settings))


@pytest.fixture
def ground(make_ground: Callable[..., Ground]) -> Ground:
    return make_ground(lock_timeout="0.05")


# --- What has to wait ------------------------------------------------------------------------


def test_a_planned_switch_waits_for_a_busy_registry(ground: Ground) -> None:
    first = str(ground.admin.deployed({"index.html": "first", **RULES})["id"])
    ground.admin.deployed({"index.html": "second"})
    ground.plan(first)
    with files.lock(ground.services.paths.registry_lock, 1):
        ground.run_due()
    assert ground.metadata()["plan"]["checkpoint"] == first
    ground.run_due()
    assert ground.admin.visit().data == b"first"
    assert ground.wrong() == []


def test_a_planned_switch_happens_once_whoever_looks(ground: Ground, make_app: Callable[..., Flask]) -> None:
    first, second = ground.deployed(2)
    ground.plan(first)
    ground.run_due()
    assert ground.admin.visit().data == b"version 0"
    ground.admin.checkout(second)
    other = Ground(make_app())
    other.services.reload()
    for worker in (ground, other):
        worker.run_due(3)
    assert ground.admin.visit().data == b"version 1"


def test_an_unconfirmed_switch_is_taken_back_although_the_registry_was_busy(ground: Ground) -> None:
    first = str(ground.admin.deployed({"index.html": "first", **RULES})["id"])
    second = str(ground.admin.deployed({"index.html": "second"})["id"])
    ground.admin.checkout(first)
    ground.post(second, "checkout?confirm_within=60")
    with files.lock(ground.services.paths.registry_lock, 1):
        ground.run_due()
    ground.run_due()
    assert ground.admin.visit().data == b"first"


@pytest.mark.parametrize("path", ["registry/default/blog.json", METADATA])
def test_a_planned_switch_waits_for_what_cannot_be_read_for_a_moment(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    first, _ = ground.deployed(2)
    ground.plan(first)
    read = files.read
    broken = ground.data / path
    broken.write_bytes(broken.read_bytes())  # Nobody remembers what it says.

    def refuse(wanted: Path | str, *more: int) -> bytes:
        if Path(wanted) == broken:
            raise OSError(errno.EMFILE, "Too many open files")
        return read(wanted, *more)

    with monkeypatch.context() as patched:
        patched.setattr(files, "read", refuse)
        ground.run_due()
    ground.run_due()
    assert ground.admin.visit().data == b"version 0"
    assert ground.due() == []


def test_a_site_that_is_being_changed_holds_up_no_other_ones_switch(make_ground: Callable[..., Ground]) -> None:
    ground = make_ground(lock_timeout="30")
    first, _ = ground.deployed(2)
    ground.plan(first, 1.0)
    ground.admin.create("other")
    old = str(ground.admin.deployed({"index.html": "old"}, site="default/other")["id"])
    ground.admin.deployed({"index.html": "new"}, site="default/other")
    at = (now() + 1.1 * HOUR).isoformat().replace("+", "%2B")
    ground.admin.post(f"/_api/sites/default/other/checkpoints/{old}/checkout?at={at}")
    before = time.monotonic()
    with ground.services.registry.site_locked("default", "blog"):
        ground.run_due()
    assert time.monotonic() - before < 10
    assert ground.admin.visit(host="other.localhost").data == b"old"
    ground.run_due()
    assert ground.admin.visit().data == b"version 0"


NONSENSE: list[dict[str, Any]] = [
    {"plan": {"checkpoint": "?", "at": "2020-01-01T00:00:00+00:00"}},
    {"plan": {"checkpoint": "../../etc", "at": "2020-01-01T00:00:00+00:00", "confirm_within": 5}},
    {"plan": {"checkpoint": "FIRST", "at": "2020-01-01T00:00:00+00:00", "confirm_within": 10**18}},
    {"plan": {"checkpoint": "FIRST", "at": "2020-01-01T00:00:00+00:00", "confirm_within": -(10**18)}},
    {"plan": {"checkpoint": "FIRST", "at": "0001-01-01T00:00:00+14:00"}},
    {"plan": {"checkpoint": "FIRST", "at": "9999-12-31T23:59:59-14:00"}},
    {"plan": {"checkpoint": "FIRST", "at": "tomorrow"}},
    {"plan": {"checkpoint": "FIRST", "at": "2020-01-01T00:00:00"}},
    {"plan": [1, 2, 3]},
    {"confirmation": {"checkpoint": "?", "back_to": "", "until": "2020-01-01T00:00:00+00:00"}},
    {"confirmation": {"checkpoint": "FIRST", "back_to": "FIRST", "until": "9999-12-31T23:59:59-14:00"}},
    {"confirmation": {"checkpoint": "FIRST", "back_to": "FIRST", "until": "0001-01-01T00:00:00+14:00"}},
    {"previews": [{"checkpoint": "..", "until": "9999-12-31T23:59:59-14:00"}], "preview_key": ""},
    {"previews": [{"checkpoint": "FIRST", "until": "0001-01-01T00:00:00+14:00"}]},
    {"pinned": ["..", "", "FIRST", "FIRST"]},
    {"uploads": [{"key": "", "checkpoint": ".."}, {"key": "k" * 5000, "checkpoint": "FIRST"}]},
    {"preview_key": "\ud83d\ude00 no hex"},
    {"preview_key": None},
]


@pytest.mark.parametrize("nonsense", NONSENSE, ids=lambda nonsense: json.dumps(nonsense)[:60])
def test_nonsense_in_a_sites_metadata_is_its_own_trouble_alone(ground: Ground, nonsense: dict[str, Any]) -> None:
    """Its visitors get what they got; other sites are switched; nothing ends in an error that nobody thought of."""
    first, second = ground.deployed(2)
    url = ground.post(second, "preview")["url"]
    ground.admin.create("other", enabled=True)
    old = str(ground.admin.deployed({"index.html": "old"}, site="default/other")["id"])
    ground.admin.deployed({"index.html": "new"}, site="default/other")
    at = (now() + HOUR).isoformat().replace("+", "%2B")
    ground.admin.post(f"/_api/sites/default/other/checkpoints/{old}/checkout?at={at}")
    ground.edit(**json.loads(json.dumps(nonsense).replace("FIRST", first)))
    assert_success(ground.admin.post("/_api/reload"))
    ground.run_due()
    assert ground.admin.visit(host="other.localhost").data == b"old"
    assert ground.admin.visit().status_code == 200
    cookie = f"pages_preview={url.rpartition('/')[2]}"
    assert ground.admin.visit(Cookie=cookie).status_code in (200, 404)
    calls = [
        ground.admin.get(f"{SITE}/checkpoints"),
        ground.admin.get(f"{SITE}/previews"),
        ground.admin.post(f"{SITE}/checkpoints/{first}/preview"),
        ground.admin.put(f"{SITE}/checkpoints/{first}", json={"pinned": False}),
        ground.admin.post(f"{SITE}/checkpoints/prune", json={"count": 1}),
        ground.admin.post(f"{SITE}/checkpoints/{second}/checkout"),
        ground.admin.delete(f"{SITE}/plan"),
        ground.admin.deploy(zip_of({"index.html": "next"})),
    ]
    for reply in calls:
        assert reply.status_code < 500 or reply.get_json()["message"] == "检查点元数据损坏，站点未改变", reply.text


# --- What is due -----------------------------------------------------------------------------


def test_an_entry_is_removed_while_nobody_can_make_a_new_one_of_that_name(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = ground.deployed(2)
    ground.plan(first)
    remove, seen = Due.remove, []

    def watched(self: Due, *arguments: Any) -> None:
        with pytest.raises(SiteBusy), ground.services.registry.site_locked("default", "blog", timeout=0):
            pass
        seen.append(1)
        remove(self, *arguments)

    monkeypatch.setattr(Due, "remove", watched)
    ground.run_due()
    assert seen
    assert ground.due() == []


def _cancel(ground: Ground, _ids: list[str]) -> None:
    ground.admin.delete(f"{SITE}/plan")


ENDINGS: dict[str, tuple[Step, Step]] = {
    "planned and cancelled": (lambda ground, ids: ground.plan(ids[0]), _cancel),
    "a net and confirmed": (
        lambda ground, ids: ground.post(ids[0], "checkout?confirm_within=3600"),
        lambda ground, ids: ground.post(ids[0], "confirm"),
    ),
    "a net and a checkout": (
        lambda ground, ids: ground.post(ids[0], "checkout?confirm_within=3600"),
        lambda ground, ids: ground.post(ids[1], "checkout"),
    ),
    "a net and a deploy": (
        lambda ground, ids: ground.post(ids[0], "checkout?confirm_within=3600"),
        lambda ground, _: ground.admin.deployed({"index.html": "new"}),
    ),
    "planned and deleted": (lambda ground, ids: ground.plan(ids[0]), lambda ground, _: ground.admin.delete(SITE)),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_is_not_due_any_more_leaves_no_entry(ground: Ground, ending: str) -> None:
    ids = ground.deployed(2)
    begin, end = ENDINGS[ending]
    begin(ground, ids)
    assert len(ground.due()) == 1
    end(ground, ids)
    assert ground.due() == []


def test_a_tenant_who_plans_again_and_again_has_one_entry(ground: Ground) -> None:
    first, second = ground.deployed(2)
    for hours in range(1, 40):
        ground.plan(first, hours)
    assert len(ground.due()) == 1
    for seconds in range(100, 140):
        ground.post(first, f"checkout?confirm_within={seconds}")
        ground.post(second, f"checkout?confirm_within={seconds}")
    assert len(ground.due()) == 2
    assert ground.wrong() == []


def test_a_net_that_cannot_be_keeps_nginx_serving(ground: Ground) -> None:
    stored = ground.admin.post(f"{SITE}/deploy?activate=false", data={"file": _file({"index.html": "x", **RULES})})
    checkpoint_id = assert_success(stored)["checkpoint"]["id"]
    refused = ground.admin.post(f"{SITE}/checkpoints/{checkpoint_id}/checkout?confirm_within=60")
    assert refused.status_code == 409
    assert ground.wrong() == []


def test_a_deploy_that_finds_the_registry_busy_leaves_nothing(ground: Ground) -> None:
    ground.deployed(1)
    before = state(ground.data)
    with files.lock(ground.services.paths.registry_lock, 1):
        assert_failure(ground.admin.deploy(zip_of({"index.html": "x", **RULES})), 409, "站点正忙，请稍后重试")
    assert (state(ground.data), ground.wrong()) == (before, [])


# --- What need not be sent --------------------------------------------------------------------


def deploy_from_here(ground: Ground, path: str, content: str) -> TestResponse:
    """A deploy of one file that is not sent."""
    manifest = json.dumps({"files": {path: hashlib.sha256(content.encode()).hexdigest()}}).encode()
    return ground.admin.post(f"{SITE}/deploy", data={"manifest": (io.BytesIO(manifest), "manifest.json")})


def test_what_was_changed_by_hand_is_not_published_for_what_it_was(ground: Ground) -> None:
    ground.deployed(1)
    file = ground.data / "sites/default/blog/index.html"
    status = file.stat()
    file.write_text("VERSION 0")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    before = state(ground.data)
    assert_failure(deploy_from_here(ground, "index.html", "version 0"), 409)
    assert state(ground.data) == before


def test_no_link_is_followed_to_what_a_deploy_need_not_send(ground: Ground) -> None:
    ground.deployed(1, **{"a/b.txt": "b"})
    folder = (ground.data / "sites/default/blog").resolve() / "a"
    folder.rename(ground.data / "elsewhere")
    folder.symlink_to(ground.data / "elsewhere")
    assert_failure(deploy_from_here(ground, "a/b.txt", "b"), 409)


# --- nginx's links ---------------------------------------------------------------------------


def test_an_alias_that_came_during_an_upload_is_hidden_from_nginx_by_its_rules(ground: Ground, tmp_path: Path) -> None:
    ground.deployed(1)
    before = ground.site
    assert_success(ground.admin.put(SITE, json={"aliases": ["www.localhost"], "alias_mode": "serve"}))
    archive = tmp_path / "a.zip"
    archive.write_bytes(zip_of({"index.html": "x", **RULES}))
    ground.services.publisher.deploy(before, Sent(archive, "a.zip"), now(), Terms())
    assert nginx_violations(ground.data) == []


def test_a_link_that_is_shown_while_rules_go_live_is_hidden_again(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process has judged the old tree, and links when the new one is live."""
    ground.deployed(1)
    assert_success(ground.admin.put(SITE, json={"enabled": False}))
    put_link, root = "pages.work.Work.put_link", ground.data / "sites/default/blog"
    from pages.work import Work

    original = Work.put_link

    def switched_before(self: Work, link: Path, path: Path) -> None:
        if path.parent.name == "public":
            (root.resolve() / "_redirects").write_text("/a /b\n")
        original(self, link, path)

    with monkeypatch.context() as patched:
        patched.setattr(put_link, switched_before)
        assert_success(ground.admin.put(SITE, json={"enabled": True}))
    assert nginx_violations(ground.data) == []


# --- Limits ----------------------------------------------------------------------------------


def test_pruning_spares_what_was_given_to_be_looked_at_meanwhile(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *_ = ground.deployed(4)
    delete = Publisher.delete_checkpoint
    granted = []

    def first_a_preview(self: Publisher, *arguments: Any, **named: Any) -> None:
        if not granted:
            granted.append(1)
            ground.post(first, "preview")
        delete(self, *arguments, **named)

    monkeypatch.setattr(Publisher, "delete_checkpoint", first_a_preview)
    assert_success(ground.admin.post(f"{SITE}/checkpoints/prune", json={"count": 1}))
    assert first in [found["id"] for found in ground.admin.checkpoints()["checkpoints"]]


def test_pruning_after_a_deploy_goes_by_what_the_site_says_then(
    make_config: Callable[..., Config],
) -> None:
    tasks: list[Callable[[], None]] = []
    ground = Ground(create_app(make_config(), tasks.append))
    assert_success(ground.admin.put(SITE, json={"retention": {"count": 1}}))
    ground.deployed(1)
    tasks.clear()
    ground.deployed(3)
    assert_success(ground.admin.put(SITE, json={"retention": {"count": 0}}))
    for task in tasks:
        task()
    assert len(ground.admin.checkpoints()["checkpoints"]) == 4


# --- Who may -------------------------------------------------------------------------------


def test_a_preview_is_shown_to_whom_it_was_given_alone(ground: Ground) -> None:
    first, second, _ = ground.deployed(3)
    ground.post(second, "preview")
    token = ground.post(first, "preview", expires_in=60)["url"].rpartition("/")[2]
    checkpoint_id, end, signature = token.split(".")
    forged = [
        f"{checkpoint_id}.{end}.{'0' * 32}",
        f"{checkpoint_id}.{end}.",
        f"{checkpoint_id}.{int(end) + 1}.{signature}",
        f"{second}.{end}.{signature}",
    ]

    def seen(cookie: str) -> bytes:
        return ground.admin.visit(Cookie=f"pages_preview={cookie}").data

    assert seen(token) == b"version 0"
    assert [seen(cookie) for cookie in forged] == [b"version 2"] * 4
    assert ground.services.previews.by_token(ground.site, token, now() + HOUR) is None
    assert_success(ground.admin.delete(f"{SITE}/previews"))
    assert seen(token) == b"version 2"


def test_an_alias_that_another_site_has_stays_its_own(ground: Ground) -> None:
    ground.deployed(1)
    ground.admin.create("other", aliases=["more.localhost"])
    for body in ({"aliases": ["more.localhost"]}, {"domain": "more.localhost"}, {"aliases": ["other.localhost"]}):
        assert_failure(ground.admin.put(SITE, json=body), 409, "域名已被占用")
    assert ground.wrong() == []


# --- Trees -----------------------------------------------------------------------------------


def test_previews_pile_up_no_trees(make_ground: Callable[..., Ground]) -> None:
    ground = make_ground(warm_checkpoints="1")
    for checkpoint_id in ground.deployed(6):
        ground.post(checkpoint_id, "preview")
    assert len(ground.trees()) <= 3


def test_two_cold_versions_can_be_compared_where_one_is_kept_warm(make_ground: Callable[..., Ground]) -> None:
    ground = make_ground(warm_checkpoints="1")
    first, second, *_ = ground.deployed(5)
    told = assert_success(ground.admin.get(f"{SITE}/checkpoints/{first}/diff/{second}"))
    (page,) = [found for found in told["urls"]["items"] if found["url"] == "/"]
    assert (page["before"]["status"], page["after"]["status"]) == (200, 200)
    assert page["before"]["sha256"] != page["after"]["sha256"]


def test_the_tree_that_visitors_are_on_outlives_what_is_unpacked_beside(make_ground: Callable[..., Ground]) -> None:
    ground = make_ground(warm_checkpoints="1")
    first, *_, before, _ = ground.deployed(5)
    ground.admin.post(f"{SITE}/deploy?activate=false", data={"file": _file({"index.html": "aside"})})
    ground.post(first, "preview")
    assert before in ground.trees()


def test_previews_are_unpacked_a_part_of_the_time_only(
    make_ground: Callable[..., Ground], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has links to more versions than are kept warm must not keep the site's lock, and a processor, for ever."""
    ground = make_ground(warm_checkpoints="1")
    ids = ground.deployed(9)
    links = [ground.post(checkpoint_id, "preview")["url"].rpartition("/")[2] for checkpoint_id in ids[:6]]
    seconds = itertools.count()
    monkeypatch.setattr("pages.previews.monotonic", lambda: float(next(seconds)))
    answers = [ground.admin.visit(Cookie=f"pages_preview={token}").status_code for token in links * 3]
    assert set(answers) == {200, 503}
    assert answers.count(200) < len(answers) / 2
    assert ground.admin.visit().data == b"version 8"


# --- Verify, backups -------------------------------------------------------------------------


def _with_everything(ground: Ground) -> None:
    first, second, third = ground.deployed(3)
    assert_success(
        ground.admin.put(SITE, json={"aliases": ["www.localhost", "*.blog.localhost"], "alias_mode": "serve"})
    )
    ground.admin.put(f"{SITE}/checkpoints/{first}", json={"pinned": True})
    ground.post(second, "preview")
    reply = ground.admin.post(
        f"{SITE}/deploy?activate=false",
        data={"file": _file({"index.html": "x", **RULES})},
        headers={"Idempotency-Key": "once"},
    )
    assert_success(reply)
    ground.post(second, "checkout?confirm_within=3600")
    ground.plan(third, 3)
    ground.admin.create("other", aliases=["more.localhost"])


def test_a_full_backup_brings_back_every_promise(
    ground: Ground, make_config: Callable[..., Config], tmp_path: Path
) -> None:
    _with_everything(ground)
    backup = ground.services.full_backups.back_up(now())[0]
    elsewhere = create_app(make_config(data_dir=str(tmp_path / "new/data")))
    services: Services = elsewhere.extensions["pages"]
    services.publisher.delete("default", "default")
    services.full_restore.restore_all(backup)
    services.recover()
    services.reload()
    restored = Ground(elsewhere)
    assert {**json.loads(state(restored.data)), "backups": 0} == {**json.loads(state(ground.data)), "backups": 0}
    assert restored.wrong() == []
    assert restored.services.verifier.run(now()).problems() == []
    restored.run_due()
    assert restored.metadata()["current"] == ground.metadata()["confirmation"]["back_to"]


def test_a_repair_makes_nothing_live_that_was_not(ground: Ground) -> None:
    stored = ground.admin.post(f"{SITE}/deploy?activate=false", data={"file": _file({"index.html": "not yet"})})
    assert_success(stored)
    assert ground.services.verifier.run(now(), repair=True).problems() == []
    (ground.data / METADATA).write_text("{")
    ground.services.verifier.run(now(), repair=True)
    assert ground.metadata()["current"] is None
    assert ground.admin.visit().status_code == 404


def test_a_repair_of_the_order_keeps_every_promise(ground: Ground) -> None:
    _with_everything(ground)
    before = ground.metadata()
    ground.edit(checkpoints=before["checkpoints"][::-1])
    assert [found.kind for found in ground.services.verifier.run(now(), repair=True).problems()] == ["metadata-order"]
    after = ground.metadata()
    for name in ("checkpoints", "pinned", "previews", "preview_key", "uploads", "plan", "confirmation"):
        assert after[name] == before[name], name


def test_metadata_does_not_grow_with_what_is_asked(ground: Ground) -> None:
    (first,) = ground.deployed(1)
    archive = zip_of({"index.html": "same"})
    site, services = ground.site, ground.services
    for number in range(105):
        services.previews.grant(site, first, 60 + number, now())
        ground.admin.put(f"{SITE}/checkpoints/{first}", json={"pinned": True})
        file = {"file": _file_of(archive)}
        ground.admin.post(f"{SITE}/deploy?activate=false", data=file, headers={"Idempotency-Key": f"{number:0250}"})
    known = ground.metadata()
    assert (len(known["uploads"]), len(known["previews"]), len(known["pinned"])) == (100, 1, 1)


def _file(content: dict[str, bytes | str]) -> Any:
    return _file_of(zip_of(content))


def _file_of(archive: bytes) -> Any:
    import io

    return io.BytesIO(archive), "site.zip"
