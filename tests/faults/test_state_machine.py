"""Any calls in any order, by the admin and two tenants, over real HTTP: answers and sites are as the model says.

Workers are killed and the server is restarted in between; every request may meet another worker.
"""

import http.client
import itertools
import json
import os
import re
import signal
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
import state_model
from helpers import THOROUGH, Server, basic, tar_of, wait_until, zip_of
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from state_model import Answer, Files, Model, Name, Site

PASSWORDS = {"admin": "admin", "alice": "a" * 12, "bob": "b" * 12}
CONFIG = "\n".join(f'[users.{name}]\npass = "{PASSWORDS[name]}"' for name in ("alice", "bob"))

# Few of each, so that they meet.
SPELLINGS = {
    "one.test": ["one.test", "ONE.test", "one.test."],
    "two.test": ["two.test"],
    "xn--bcher-kva.test": ["bücher.test", "BÜCHER.TEST", "xn--bcher-kva.test", "XN--BCHER-KVA.test."],
    "three.test": ["three.test"],
}
VERSIONS: list[Files] = [
    {"index.html": "first"},
    {"index.html": "other", "404.html": "own page"},
    {"index.html": "with docs", "docs/index.html": "docs", "docs/main.html": "main docs", "a.txt": "text"},
    {"main.html": "main", "a.txt": "other text of another length"},
    {"dist/index.html": "built", "dist/main.html": "built main", "readme.txt": "not the site"},
    {"index.html": "large " * 3000, "404.html": "gone", "a.txt": "TEXT"},
]
PATHS = ["/", "/a.txt", "/docs", "/docs/", "/missing", "/main.html", "/dist/index.html"]
BAD_BODIES: list[tuple[dict[str, Any], str]] = [
    ({"id": "s1"}, "domain"),
    ({"domain": "one.test"}, "id"),
    ({"id": "../x", "domain": "one.test"}, "id"),
    ({"id": "s1", "domain": "one.test:80"}, "domain"),
    ({"id": "s1", "domain": "one.test", "index": "a/b"}, "index"),
    ({"id": "s1", "domain": "one.test", "enabled": "yes"}, "enabled"),
    ({"id": "s1", "domain": "one.test", "colour": 1}, "colour"),
]
BAD_UPLOADS: list[tuple[bytes, str, Answer | None, bool]] = [
    (b"", "", state_model.NO_FILE, False),
    (zip_of({"index.html": "x"}), "site.rar", state_model.WRONG_FORMAT, False),
    (b"no archive at all", "site.zip", None, True),
    (zip_of({"../index.html": "x"}), "site.zip", None, True),
    (zip_of({}), "site.zip", None, True),
    (tar_of({"index.html": "x" * 5000})[:-40], "site.tar.gz", None, True),
    (tar_of({"a": "x", "a/b": "y"}), "site.tgz", None, True),
]
ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{8}")
RECORD = {"id", "username", "domain", "index", "enabled", "created_at", "updated_at"}
SETTINGS = {"aliases", "alias_mode", "clean_urls", "trailing_slash", "spa", "not_found", "cache", "retention", "locked"}
CHECKPOINT = {"id", "created_at", "file_size", "file_name", "source", "description"}

who_ = st.sampled_from(["admin", "admin", "alice", "bob"])
usernames = st.sampled_from(["default", "alice", "bob"])
ids = st.sampled_from(["s1", "s2", "s3"])
domains = st.sampled_from([spelling for spellings in SPELLINGS.values() for spelling in spellings])
aliases = st.sampled_from([[], [], ["three.test"], ["three.test", "xn--bcher-kva.test"]])
indexes = st.sampled_from(["index.html", "index.html", "main.html"])


def canonical(spelling: str) -> str:
    return next(domain for domain, spellings in SPELLINGS.items() if spelling in spellings)


class Http:
    """Connections that are kept, used in turn: each may be another worker's."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._connections: list[http.client.HTTPConnection] = []
        self._turns = itertools.count()

    def request(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, Any, bytes]:
        while len(self._connections) < 4:
            self._connections.append(http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=120))
        connection = self._connections[next(self._turns) % 4]
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.headers, response.read()

    def close(self) -> None:
        for connection in self._connections:
            connection.close()
        self._connections.clear()


class Sites(RuleBasedStateMachine):
    """Somebody calls something; the model says what comes of it."""

    server: ClassVar[Server]
    http: ClassVar[Http]
    has_changed = False
    # How often each call had each status.
    answers: ClassVar[Counter[tuple[str, int]]] = Counter()
    restarts_left: ClassVar[int] = 0
    # What each validator stood for, at a URL, over all that ever happened there: one content only.
    validators: ClassVar[dict[tuple[str, str, str], str]] = {}
    # Digits of the digest in an id stand for one content, whatever site and archive it came in.
    digests: ClassVar[dict[str, Files]] = {}

    # --- Calls ------------------------------------------------------------------------------

    def call(self, who: str, method: str, path: str, body: Any = None, password: str = "") -> tuple[int, Any, Any]:
        headers = {**basic(who, password or PASSWORDS[who]), "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        status, told, raw = self.http.request(method, path, data, headers)
        self.answers[_kind(method, path), status] += 1
        self.has_changed = self.has_changed or (method != "GET" and status < 300)
        return status, told, json.loads(raw)

    def expect(self, answer: Answer, got: tuple[int, Any, Any]) -> Any:
        """The answer's status, message and envelope are the expected ones; returns its data."""
        status, _, body = got
        assert status == answer.status, (answer, body)
        assert body["success"] is answer.is_success
        assert set(body) <= {"success", "message", "data"}
        if answer.message is not None:
            assert body["message"] == answer.message
        return body.get("data")

    def expect_data(self, answer: Answer, got: tuple[int, Any, Any]) -> None:
        data = self.expect(answer, got)
        if answer.is_success:
            assert data == answer.data

    # --- Starting ---------------------------------------------------------------------------

    @initialize()
    def start(self) -> None:
        """No site but those of the model: none."""
        self.model = Model()
        for site in self.call("admin", "GET", "/_api/sites")[2]["data"]["sites"]:
            assert self.call("admin", "DELETE", f"/_api/sites/{site['username']}/{site['id']}")[0] == 200
        for number, (username, domain) in enumerate((("default", "one.test"), ("alice", "two.test"))):
            self.create("admin", username, "s1", domain, {})
            self.deploy_to("admin", (username, "s1"), VERSIONS[number], True, False)

    # --- Sites ------------------------------------------------------------------------------

    @rule(
        who=who_,
        username=st.none() | usernames,
        site_id=ids,
        domain=domains,
        more=st.fixed_dictionaries({}, optional={"index": indexes, "enabled": st.booleans()}),
    )
    def create(self, who: str, username: str | None, site_id: str, domain: str, more: dict[str, Any]) -> None:
        sent = {"id": site_id, "domain": domain, **more} | ({} if username is None else {"username": username})
        answer = self.model.create(who, {**sent, "domain": canonical(domain)})
        got = self.call(who, "POST", "/_api/sites", sent)
        data = self.expect(answer, got)
        if answer.is_success:
            assert set(data) == RECORD | SETTINGS
            assert {**data, **answer.data} == data
            assert data["created_at"] == data["updated_at"]
            assert got[1]["Location"] == f"/_api/sites/{data['username']}/{data['id']}"
            self.model.sites[data["username"], data["id"]] = Site(data)

    @rule(who=who_, bad=st.sampled_from(BAD_BODIES))
    def create_badly(self, who: str, bad: tuple[dict[str, Any], str]) -> None:
        body, field = bad
        _, _, told = got = self.call(who, "POST", "/_api/sites", body)
        self.expect(Answer(400), got)
        assert field in told["message"]

    @rule(
        data=st.data(),
        changes=st.fixed_dictionaries(
            {}, optional={"domain": domains, "index": indexes, "enabled": st.booleans(), "aliases": aliases}
        ),
        give_back=st.booleans(),
    )
    def update(self, data: Any, changes: dict[str, Any], give_back: bool) -> None:
        who, name = self.some_site(data)
        new = {**changes, "domain": canonical(changes["domain"])} if "domain" in changes else changes
        sent = {**self.model.sites[name].record, **changes} if give_back and name in self.model.sites else changes
        answer = self.model.update(who, name, new)
        data = self.expect(answer, self.call(who, "PUT", self.path(name), sent))
        if answer.is_success:
            before = self.model.sites[name].record
            assert {**data, "updated_at": ""} == {**answer.data, "updated_at": ""}
            assert sent or data == before
            self.model.sites[name].record = data

    @rule(data=st.data())
    def delete(self, data: Any) -> None:
        who, name = self.some_site(data)
        answer = self.model.delete(who, name)
        self.expect(answer, self.call(who, "DELETE", self.path(name)))
        if answer.is_success:
            del self.model.sites[name]

    @rule(data=st.data())
    def show(self, data: Any) -> None:
        who, name = self.some_site(data)
        self.expect_data(self.model.show(who, name), self.call(who, "GET", self.path(name)))

    @rule(
        who=who_,
        username=st.none() | usernames,
        limit=st.none() | st.integers(0, 4),
        offset=st.integers(0, 4),
    )
    def list_sites(self, who: str, username: str | None, limit: int | None, offset: int) -> None:
        query = {"username": username, "limit": limit, "offset": offset or None}
        text = "&".join(f"{name}={value}" for name, value in query.items() if value is not None)
        got = self.call(who, "GET", f"/_api/sites?{text}")
        self.expect_data(self.model.list_sites(who, username, limit, offset), got)

    # --- Checkpoints ------------------------------------------------------------------------

    @rule(data=st.data(), version=st.sampled_from(VERSIONS), is_zip=st.booleans(), root=st.booleans())
    def deploy(self, data: Any, version: Files, is_zip: bool, root: bool) -> None:
        self.deploy_to(*self.some_site(data), version, is_zip, root)

    @rule(data=st.data(), versions=st.lists(st.sampled_from(VERSIONS), min_size=1, max_size=4))
    def deploy_several(self, data: Any, versions: list[Files]) -> None:
        _, name = self.some_site(data)
        for version in versions:
            self.deploy_to("admin", name, version, True, False)

    def deploy_to(self, who: str, name: Name, version: Files, is_zip: bool, root: bool) -> None:
        archive, file_name = (zip_of({**version}), "a.zip") if is_zip else (tar_of({**version}), "b.tar.gz")
        folder = "dist" if root and "dist/index.html" in version else ""
        files = {path[5:]: text for path, text in version.items() if path.startswith("dist/")} if folder else version
        answer = self.model.deploy(who, name, file_name)
        data = self.expect(answer, self.upload(who, name, archive, file_name, folder))
        if answer.is_success:
            site = self.model.sites[name]
            assert set(data) - {"warnings"} == {"username", "id", "checkpoint"}
            assert (data["username"], data["id"]) == name
            assert ("warnings" in data) == (site.index not in files)
            self.judge_new(name, data["checkpoint"], answer.data, files)

    @rule(data=st.data(), bad=st.sampled_from(BAD_UPLOADS))
    def deploy_badly(self, data: Any, bad: tuple[bytes, str, Answer | None, bool]) -> None:
        who, name = self.some_site(data)
        archive, file_name, why, after_site = bad
        answer = self.model.refuse_upload(who, name, why or Answer(400), after_site=after_site)
        _, _, told = got = self.upload(who, name, archive, file_name, "")
        self.expect(answer, got)
        if why is None and answer.status == 400:
            kind = "zip" if file_name.endswith(".zip") else "tar.gz"
            assert told["message"].startswith(f"解压 {kind} 失败: ")

    @rule(data=st.data(), description=st.none() | st.just("手动 by hand"))
    def snapshot(self, data: Any, description: str | None) -> None:
        who, name = self.some_site(data)
        body = None if description is None else {"description": description}
        answer = self.model.snapshot(who, name, description)
        data = self.expect(answer, self.call(who, "POST", f"{self.path(name)}/checkpoints", body))
        if answer.is_success:
            assert data["file_name"] == f"{data['id']}.tar.gz"
            self.judge_new(name, data, answer.data, self.model.sites[name].files)

    @rule(data=st.data())
    def checkout(self, data: Any) -> None:
        who, name, checkpoint_id = self.some_checkpoint(data)
        got = self.call(who, "POST", f"{self.path(name)}/checkpoints/{checkpoint_id}/checkout")
        self.expect_data(self.model.checkout(who, name, checkpoint_id), got)

    @rule(data=st.data(), version=st.sampled_from(VERSIONS), key=st.sampled_from(["a", "b"]))
    def deploy_aside(self, data: Any, version: Files, key: str) -> None:
        """Without going live, and under a key: a second time it is the first one's, or refused."""
        who, name = self.some_site(data)
        answer = self.model.deploy(who, name, "a.zip", activate=False)
        site = self.model.sites.get(name)
        known = site and next((cid for cid in site.contents if site.keys.get(key) == cid), None)
        got = self.upload(who, name, zip_of({**version}), "a.zip", "", key)
        if not answer.is_success or not site or known is None:
            found = self.expect(answer, got)
            if answer.is_success and site:
                self.judge_new(name, found["checkpoint"], answer.data, version, is_live=False)
                site.keys[key] = found["checkpoint"]["id"]
        elif site.contents[known] != version:
            assert got[0] in (409, 422), got
        else:
            assert (got[0], got[2]["data"]["checkpoint"]["id"]) == (200, known)

    @rule(data=st.data())
    def checkout_with_a_net(self, data: Any) -> None:
        who, name, checkpoint_id = self.some_checkpoint(data)
        answer = self.model.checkout(who, name, checkpoint_id, net=True)
        path = f"{self.path(name)}/checkpoints/{checkpoint_id}/checkout?confirm_within=86400"
        told = self.expect(answer, self.call(who, "POST", path))
        if answer.is_success:
            assert {**told, **answer.data} == told

    @rule(data=st.data())
    def confirm(self, data: Any) -> None:
        who, name, checkpoint_id = self.some_checkpoint(data)
        got = self.call(who, "POST", f"{self.path(name)}/checkpoints/{checkpoint_id}/confirm")
        self.expect(self.model.confirm(who, name, checkpoint_id), got)

    @rule(data=st.data(), hours=st.integers(24, 240))
    def plan(self, data: Any, hours: int) -> None:
        who, name, checkpoint_id = self.some_checkpoint(data)
        at = (datetime.now(UTC) + timedelta(hours=hours)).isoformat().replace("+", "%2B")
        got = self.call(who, "POST", f"{self.path(name)}/checkpoints/{checkpoint_id}/checkout?at={at}")
        self.expect(self.model.plan(who, name, checkpoint_id), got)

    @rule(data=st.data())
    def cancel(self, data: Any) -> None:
        who, name = self.some_site(data)
        self.expect(self.model.cancel(who, name), self.call(who, "DELETE", f"{self.path(name)}/plan"))

    @rule(data=st.data(), pinned=st.booleans())
    def pin(self, data: Any, pinned: bool) -> None:
        who, name, checkpoint_id = self.some_checkpoint(data)
        got = self.call(who, "PUT", f"{self.path(name)}/checkpoints/{checkpoint_id}", {"pinned": pinned})
        self.expect_data(self.model.pin(who, name, checkpoint_id, pinned=pinned), got)

    @rule(data=st.data(), count=st.integers(2, 5))
    def prune(self, data: Any, count: int) -> None:
        who, name = self.some_site(data)
        answer = self.model.prune(who, name, count)
        told = self.expect(answer, self.call(who, "POST", f"{self.path(name)}/checkpoints/prune", {"count": count}))
        if answer.is_success:
            assert told["checkpoints"] == answer.data

    @rule(data=st.data())
    def remove_checkpoint(self, data: Any) -> None:
        who, name, checkpoint_id = self.some_checkpoint(data)
        got = self.call(who, "DELETE", f"{self.path(name)}/checkpoints/{checkpoint_id}")
        self.expect(self.model.remove(who, name, checkpoint_id), got)

    @rule(data=st.data())
    def show_checkpoint(self, data: Any) -> None:
        who, name, checkpoint_id = self.some_checkpoint(data)
        got = self.call(who, "GET", f"{self.path(name)}/checkpoints/{checkpoint_id}")
        self.expect_data(self.model.show_checkpoint(who, name, checkpoint_id), got)

    @rule(data=st.data())
    def list_checkpoints(self, data: Any) -> None:
        who, name = self.some_site(data)
        answer = self.model.checkpoints(who, name)
        told = self.expect(answer, self.call(who, "GET", f"{self.path(name)}/checkpoints"))
        if answer.is_success:
            for checkpoint in told["checkpoints"]:
                assert checkpoint.pop("size_on_disk") >= checkpoint["file_size"]
            if "confirmation" in told:
                told["confirmation"] = (told["confirmation"]["checkpoint"], told["confirmation"]["back_to"])
            if "plan" in told:
                told["plan"] = told["plan"]["checkpoint"]
            assert told == answer.data

    @rule(data=st.data(), text=st.sampled_from(["dropped", "dropped otherwise"]))
    def drop_a_file(self, data: Any, text: str) -> None:
        """By hand, into the root of a site that was never deployed."""
        _, name = self.some_site(data)
        site = self.model.sites.get(name)
        if site is not None and site.current is None and "index.html" not in site.dropped:
            (self.server.data / "sites" / name[0] / name[1] / "index.html").write_text(text)
            site.dropped = {"index.html": text}

    # --- Operating --------------------------------------------------------------------------

    @rule(who=who_)
    def reload(self, who: str) -> None:
        count = self.model.enabled_count("admin")
        right = Answer(200, f"重载成功，当前 {count} 个站点已生效")
        data = self.expect(right if who == "admin" else state_model.FORBIDDEN, self.call(who, "POST", "/_api/reload"))
        if who == "admin":
            assert (data["sites_count"], data["problems"]) == (count, [])

    @rule(who=who_)
    def health(self, who: str) -> None:
        data = self.expect(Answer(200), self.call(who, "GET", "/_api/health"))
        assert (data["status"], data["sites_count"]) == ("healthy", self.model.enabled_count(who))

    @rule(who=who_, action=st.sampled_from(["clear-cache", "clear-cache", "backup", "restart"]))
    def maintain(self, who: str, action: str) -> None:
        status, _, body = self.call(who, "POST", "/api/admin/maintenance", {"action": action})
        assert (status, body.get("error")) == ((200, None) if who == "admin" else (403, "权限不足"))

    @rule(who=who_, path=st.sampled_from(["/_api/sites", "/_api/nowhere", "/_api/sites/default/s1"]))
    def call_with_a_wrong_password(self, who: str, path: str) -> None:
        self.expect(state_model.WRONG_PASSWORD, self.call(who, "GET", path, password="wrong"))

    @rule(whole=st.booleans())
    def kill(self, whole: bool) -> None:
        """A worker, or everything, as a crash would; only so often, for it takes long."""
        if self.restarts_left == 0:
            return
        type(self).restarts_left -= 1
        self.http.close()
        if whole:
            self.server.kill()
            self.server.start()
        else:
            worker = min(self.server.workers())
            os.kill(worker, signal.SIGKILL)
            wait_until(lambda: worker not in self.server.workers(), "the worker is dead")

    # --- Visitors ---------------------------------------------------------------------------

    @rule(domain=domains, path=st.sampled_from(PATHS))
    def visit(self, domain: str, path: str) -> None:
        self.judge_visit(canonical(domain), path)

    @invariant()
    def every_domain_serves_what_it_should_after_a_change(self) -> None:
        for domain in SPELLINGS if self.has_changed else ():
            self.judge_visit(domain, "/")
        self.has_changed = False

    def judge_visit(self, domain: str, path: str) -> None:
        status, body = self.model.visit(domain, path)
        got, headers, raw = self.http.request("GET", path, None, {"Host": domain})
        self.answers["visit", got] += 1
        assert got == status, (domain, path, raw[:100])
        if status in (301, 308):
            assert headers["Location"] == body
        elif body is not None:
            assert raw.decode() == body
        if status == 200:
            stood_for = self.validators.setdefault((domain, path, headers["ETag"]), raw.decode())
            assert stood_for == raw.decode(), "a validator stood for two contents"

    def teardown(self) -> None:
        if hasattr(self, "model"):
            for domain, path in itertools.product(SPELLINGS, PATHS):
                self.judge_visit(domain, path)

    # --- Helping ----------------------------------------------------------------------------

    def some_site(self, data: Any) -> tuple[str, Name]:
        """Mostly one there is, with somebody who mostly may act for it."""
        names = [*sorted(self.model.sites) * 4, ("default", "s2"), ("alice", "s1"), ("bob", "s3")]
        name = data.draw(st.sampled_from(names))
        owner = name[0] if name[0] in PASSWORDS else "admin"
        return data.draw(st.sampled_from(["admin", "admin", owner, owner, owner, "alice", "bob"])), name

    def some_checkpoint(self, data: Any) -> tuple[str, Name, str]:
        """Mostly one there is."""
        who, name = self.some_site(data)
        every = sorted({known for site in self.model.sites.values() for known in site.contents})
        own = sorted(self.model.sites[name].contents) if name in self.model.sites else []
        return who, name, data.draw(st.sampled_from([*own * 3, *every[:1], "20200101-000000-00000000"]))

    @staticmethod
    def path(name: Name) -> str:
        return f"/_api/sites/{name[0]}/{name[1]}"

    def upload(
        self, who: str, name: Name, archive: bytes, file_name: str, root: str, key: str = ""
    ) -> tuple[int, Any, Any]:
        disposition = "Content-Disposition: form-data; name="
        parts = [f'{disposition}"file"; filename="{file_name}"\r\n\r\n'.encode() + archive] if file_name else []
        parts += [f'{disposition}"root"\r\n\r\n{root}'.encode()]
        body = b"".join(b"--b\r\n" + part + b"\r\n" for part in parts) + b"--b--\r\n"
        headers = {**basic(who, PASSWORDS[who]), "Content-Type": "multipart/form-data; boundary=b"}
        headers |= {"Idempotency-Key": key} if key else {}
        query = "?activate=false" if key else ""
        status, told, raw = self.http.request("POST", f"{self.path(name)}/deploy{query}", body, headers)
        self.answers["deploy", status] += 1
        self.has_changed = self.has_changed or status < 300
        return status, told, json.loads(raw)

    def judge_new(
        self, name: Name, checkpoint: dict[str, Any], known: dict[str, Any], files: Files, *, is_live: bool = True
    ) -> None:
        """Is this a new checkpoint as it should be? The model has it from here on."""
        site = self.model.sites[name]
        assert set(checkpoint) == CHECKPOINT
        assert {**checkpoint, **known} == checkpoint
        assert ID.fullmatch(checkpoint["id"])
        assert self.digests.setdefault(checkpoint["id"][-8:], files) == files
        archive = self.server.data / "sites-checkpoints" / name[0] / name[1] / "checkpoints"
        assert checkpoint["file_size"] == (archive / f"{checkpoint['id']}.tar.gz").stat().st_size
        created = datetime.fromisoformat(checkpoint["created_at"])
        assert created.strftime("%Y%m%d-%H%M%S") == checkpoint["id"][:15]
        for older in site.checkpoints[:1]:
            assert (older["id"], datetime.fromisoformat(older["created_at"])) < (checkpoint["id"], created)
        self.model.added(name, checkpoint, files, is_live=is_live)


def _kind(method: str, path: str) -> str:
    """A call by its method and what it is about."""
    return f"{method} {re.sub(r'[?].*|default|alice|bob|s[123]|20[0-9]{6}-.{15}', '', path)}"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "config.toml").write_text(CONFIG)
    server = Server(tmp_path, {"PAGES_CONFIG": str(tmp_path / "config.toml"), "PAGES_BACKUP_KEEP": "3"}).start()
    yield server
    server.stop()


def test_answers_and_sites_are_as_the_model_says(server: Server, record_property: Any) -> None:
    Sites.server, Sites.http, Sites.answers = server, Http(server), Counter()
    Sites.restarts_left = 60 if THOROUGH else 3
    Sites.validators, Sites.digests = {}, {}
    runs, length = (340, 60) if THOROUGH else (14, 40)
    run_state_machine_as_test(
        Sites,
        settings=settings(
            max_examples=runs,
            stateful_step_count=length,
            deadline=None,
            database=None,
            derandomize=not THOROUGH,
            print_blob=True,
            # No shorter way to the same failure is looked for: every step is a request, and times differ.
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
    Sites.http.close()
    calls = sum(Sites.answers.values())
    record_property("calls", calls)
    print(f"{calls} calls and visits:", *(f"{kind} {count}" for kind, count in sorted(Sites.answers.items())), sep="\n")
    assert calls > runs * length
    done = {kind for (kind, status) in Sites.answers if status < 300}
    assert {"deploy", "visit", "POST /_api/sites", "POST /_api/sites///checkpoints//checkout"} <= done
    wait_until(lambda: os.listdir(server.data / "work") == [], "nothing is left over")
