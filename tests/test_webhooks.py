"""The webhook: what it is told, that it is signed, sent again and in order, and never in anybody's way."""

import base64
import errno
import hashlib
import hmac
import io
import json
import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from helpers import PROJECT, Admin, Server, assert_success, wait_until, zip_of

from pages import outbox, webhook_keys, webhooks
from pages.config import load_config
from pages.errors import ConfigError
from pages.services import Services
from pages.webhooks import Answer, Webhooks

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
START = datetime(2026, 11, 21, 12, tzinfo=UTC)


class Receiver:
    """Somebody at the other end, in this process: ``answers`` are given one after the other, the last for ever."""

    def __init__(self, *answers: int | Exception) -> None:
        self.answers = list(answers) or [200]
        self.got: list[tuple[dict[str, str], bytes]] = []

    def __call__(self, url: str, headers: dict[str, str], body: bytes) -> Answer:
        self.got.append((headers, body))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return Answer(answer)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.got]

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.events]


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with a webhook. At its first start the welcome site is made, which is an event too."""
    app = make_app(webhook_url="https://hooks.example.com/in?x=1", webhook_secret=SECRET)
    for waiting in (app.extensions["pages"].paths.webhooks).iterdir():
        waiting.unlink()
    return app


@pytest.fixture
def services(app: Flask) -> Services:
    found: Services = app.extensions["pages"]
    return found


def queued(services: Services) -> list[dict[str, Any]]:
    """All events that wait, the oldest first."""
    return [json.loads(path.read_bytes()) for path in sorted(services.paths.webhooks.glob("[0-9]*"))]


def sender(services: Services, receiver: Receiver) -> Webhooks:
    box = outbox.Outbox(services.paths, services.config.webhook_url)
    return Webhooks(services.paths, box, services.counts, services.config.webhook_url, SECRET, receiver)


def later(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


# --- What is told -------------------------------------------------------------------------------


def test_a_sites_life_is_told_in_order(admin: Admin, services: Services) -> None:
    first = admin.deployed({"index.html": "1"})["id"]
    second = admin.deployed({"index.html": "2"})["id"]
    admin.deploy(b"no archive")
    admin.checkout(first)
    admin.checkout(second)
    admin.delete("/_api/sites/default/blog")
    events = queued(services)
    assert [event["type"] for event in events] == [
        "site.created", "deploy.succeeded", "deploy.succeeded", "deploy.failed", "site.rolled_back", "site.checked_out",
        "site.deleted",
    ]  # fmt: skip
    assert all((event["data"]["username"], event["data"]["id"]) == ("default", "blog") for event in events)
    assert len({event["id"] for event in events}) == len(events)
    data = [event["data"] for event in events]
    assert (data[0]["domain"], data[0]["enabled"]) == ("blog.localhost", True)
    assert (data[1]["checkpoint"]["id"], data[1]["previous"], data[1]["activated"]) == (first, None, True)
    assert (data[2]["checkpoint"]["id"], data[2]["previous"]) == (second, first)
    assert (data[3]["status"], data[3]["message"][:6]) == (400, "Unpack")
    assert (data[4]["checkpoint_id"], data[4]["previous"], data[4]["by"]) == (first, second, "request")
    assert data[5]["checkpoint_id"] == second


def test_an_event_names_its_time_and_the_request_that_caused_it(admin: Admin, services: Services) -> None:
    reply = admin.deploy(zip_of({"index.html": "x"}))
    event = queued(services)[-1]
    assert event["data"]["request_id"] == reply.headers["X-Request-ID"]
    assert abs(datetime.fromisoformat(event["timestamp"]) - datetime.now(UTC)) < timedelta(seconds=60)


@pytest.mark.parametrize(
    "ask",
    [
        lambda admin: admin.deploy(zip_of({"index.html": "x"}), site="default/none"),
        lambda admin: admin.client.post("/_api/sites/default/blog/deploy"),
        lambda admin: admin.post("/_api/sites/default/blog/deploy?dry_run=true", data=upload(b"broken")),
        lambda admin: admin.post("/_api/sites/default/blog/deploy", data=upload(b""), headers={"Origin": "http://x.y"}),
        lambda admin: admin.post("/_api/sites", json={"id": "blog", "domain": "blog.localhost"}),
        lambda admin: admin.put("/_api/sites/default/blog", json={"index": "start.html"}),
        lambda admin: admin.get("/_api/sites"),
    ],
)
def test_what_changes_nothing_and_was_no_deploy_is_not_told(
    admin: Admin, services: Services, ask: Callable[[Admin], object]
) -> None:
    before = len(queued(services))
    ask(admin)
    assert len(queued(services)) == before


def upload(content: bytes) -> dict[str, Any]:
    return {"file": (io.BytesIO(content), "site.zip")}


def test_a_deploy_that_has_to_send_more_files_has_not_failed_yet(admin: Admin, services: Services) -> None:
    before = len(queued(services))
    manifest = json.dumps({"files": {"index.html": "0" * 64}}).encode()
    data = {"manifest": (io.BytesIO(manifest), "manifest.json")}
    assert admin.post("/_api/sites/default/blog/deploy", data=data).status_code == 409
    assert len(queued(services)) == before


def test_a_version_that_is_only_stored_is_told_as_such(admin: Admin, services: Services) -> None:
    data = upload(zip_of({"index.html": "x"}))
    assert_success(admin.post("/_api/sites/default/blog/deploy?activate=false", data=data))
    assert queued(services)[-1]["data"]["activated"] is False


def test_a_retry_of_the_same_deploy_is_told_once(admin: Admin, services: Services) -> None:
    for _ in range(2):
        data = upload(zip_of({"index.html": "x"}))
        headers = {"Idempotency-Key": "k1"}
        assert_success(admin.post("/_api/sites/default/blog/deploy", data=data, headers=headers))
    assert [event["type"] for event in queued(services)].count("deploy.succeeded") == 1


def test_a_way_back_that_nobody_asked_for_is_told(admin: Admin, services: Services) -> None:
    first, second = (admin.deployed({"index.html": page})["id"] for page in "12")
    admin.checkout(first)
    checkout = f"/_api/sites/default/blog/checkpoints/{second}/checkout?confirm_within=60"
    until = assert_success(admin.post(checkout))["confirm_until"]
    assert queued(services)[-1]["data"]["confirm_until"] == until
    services.plans.run_due(later(120))
    event = queued(services)[-1]
    assert event["type"] == "site.rolled_back"
    assert (event["data"]["checkpoint_id"], event["data"]["previous"]) == (first, second)
    assert event["data"]["by"] == "return"


def test_what_is_undone_is_a_rollback_also_when_it_is_back_to_a_newer_version(admin: Admin, services: Services) -> None:
    first, second = (admin.deployed({"index.html": page})["id"] for page in "12")
    assert_success(admin.post(f"/_api/sites/default/blog/checkpoints/{first}/checkout?confirm_within=60"))
    services.plans.run_due(later(120))
    event = queued(services)[-1]
    assert (event["type"], event["data"]["checkpoint_id"]) == ("site.rolled_back", second)


def test_a_planned_switch_is_told_when_it_is_made(admin: Admin, services: Services) -> None:
    first = admin.deployed({"index.html": "1"})["id"]
    admin.deployed({"index.html": "2"})
    at = (later(3600)).isoformat(timespec="seconds").replace("+00:00", "Z")
    assert_success(admin.post(f"/_api/sites/default/blog/checkpoints/{first}/checkout?at={at}"), 202)
    before = len(queued(services))
    services.plans.run_due(later(3700))
    (event,) = queued(services)[before:]
    assert (event["type"], event["data"]["by"]) == ("site.rolled_back", "plan")


def test_without_a_webhook_nothing_is_kept(make_app: Callable[..., Flask]) -> None:
    admin = Admin(make_app().test_client())
    admin.create("blog")
    assert queued(admin.client.application.extensions["pages"]) == []


# --- Signing ------------------------------------------------------------------------------------


def test_the_signature_is_the_specifications_own_example() -> None:
    # Test vector of the reference libraries of Standard Webhooks.
    body = b'{"test": 2432232314}'
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    signed = webhook_keys.signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_what_arrives_is_signed_over_exactly_what_arrives(admin: Admin, services: Services) -> None:
    receiver = Receiver()
    now = datetime.now(UTC)
    sender(services, receiver).run_due(now)
    ((headers, body),) = receiver.got
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert int(headers["webhook-timestamp"]) == int(now.timestamp())
    assert headers["webhook-id"] == json.loads(body)["id"]
    assert SECRET not in str(headers)


def test_the_documents_examples_verify_what_is_sent(admin: Admin, services: Services, tmp_path: Path) -> None:
    document = (PROJECT / "docs/monitoring.md").read_text(encoding="utf-8")
    receiver = Receiver()
    sender(services, receiver).run_due(datetime.now(UTC))
    ((headers, body),) = receiver.got
    names: dict[str, Any] = {}
    exec(re.findall(r"```python\n(.*?)```", document, re.DOTALL)[0], names)
    assert names["is_from_pages"](SECRET, headers, body)
    assert not names["is_from_pages"](SECRET, headers, body + b" ")
    shell = re.findall(r"```sh\n(.*?)```", document, re.DOTALL)[-1]
    parts = {"id": headers["webhook-id"], "timestamp": headers["webhook-timestamp"]}
    environment = {**os.environ, **parts, "signature": headers["webhook-signature"], "secret": SECRET}
    for content, said in ((body, b"genuine\n"), (body + b" ", b"")):
        (tmp_path / "body").write_bytes(content)
        done = subprocess.run(["bash", "-c", shell], cwd=tmp_path, env=environment, capture_output=True, check=False)
        assert (done.stdout, done.stderr) == (said, b"")


# --- Again and again ----------------------------------------------------------------------------


def test_an_event_that_fails_twice_arrives_with_the_third_attempt_and_the_same_id(
    admin: Admin, services: Services
) -> None:
    receiver = Receiver(500, OSError("unreachable"), 204)
    hook = sender(services, receiver)
    times = [0, 1, 4, 6, 30, 37, 38]
    counts = []
    for seconds in times:
        hook.run_due(later(seconds))
        counts.append(len(receiver.got))
    assert counts == [1, 1, 1, 2, 2, 3, 3]
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1
    assert queued(services) == []


def test_what_waits_survives_a_restart(admin: Admin, services: Services) -> None:
    sender(services, Receiver(500)).run_due(later(0))
    receiver = Receiver()
    sender(services, receiver).run_due(later(3))
    assert receiver.got == []  # The pause holds for another process as well.
    sender(services, receiver).run_due(later(6))
    assert receiver.types == ["site.created"]


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 401, 404, 429, 500, 503])
def test_only_a_2xx_is_an_arrival(admin: Admin, services: Services, status: int) -> None:
    sender(services, Receiver(status)).run_due(later(0))
    assert len(queued(services)) == 1


def test_events_of_a_site_keep_their_order_when_one_fails(admin: Admin, services: Services) -> None:
    admin.create("other")
    admin.deployed({"index.html": "x"})
    receiver = Receiver(500, 200)
    hook = sender(services, receiver)
    for seconds in range(8):
        hook.run_due(later(seconds))
    told = [(event["data"]["id"], event["type"]) for event in receiver.events]
    assert told[0] == ("blog", "site.created")
    assert told[1] == ("other", "site.created")  # It does not wait for blog's.
    assert told[2:] == [("blog", "site.created"), ("blog", "deploy.succeeded")]


def test_an_event_that_never_arrives_holds_up_its_site_for_some_minutes_and_is_given_up_after_a_day(
    admin: Admin, services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    admin.deployed({"index.html": "x"})

    class Picky(Receiver):
        def __call__(self, url: str, headers: dict[str, str], body: bytes) -> Answer:
            super().__call__(url, headers, body)
            return Answer(400 if b"site.created" in body else 200)

    receiver = Picky()
    hook = sender(services, receiver)
    for minute in range(25 * 60):
        hook.run_due(later(minute * 60))
    at = receiver.types.index("deploy.succeeded")
    assert at == 5  # Attempts at the first one before it.
    assert 8 <= receiver.types.count("site.created") <= 16
    assert queued(services) == []
    assert "given up" in caplog.text
    assert services.counts.memory.totals()["pages_webhook_attempts", "dropped"] == 1


def test_a_receiver_that_says_when_to_come_back_is_left_alone_until_then(admin: Admin, services: Services) -> None:
    receiver = Receiver()
    calls: list[int] = []

    def busy(url: str, headers: dict[str, str], body: bytes) -> Answer:
        calls.append(1)
        return Answer(503, 600)

    hook = sender(services, receiver)
    hook._post = busy
    hook.run_due(later(0))
    hook.run_due(later(590))
    assert len(calls) == 1
    hook.run_due(later(602))
    assert len(calls) == 2


def test_gone_stops_it_until_the_address_changes(
    admin: Admin, services: Services, make_app: Callable[..., Flask]
) -> None:
    admin.create("other")
    receiver = Receiver(410)
    hook = sender(services, receiver)
    hook.run_due(later(0))
    admin.deployed({"index.html": "x"})
    hook.run_due(later(9999))
    assert len(receiver.got) == 1
    assert queued(services) == []
    changed = make_app(webhook_url="https://new.example.com/", webhook_secret=SECRET)
    Admin(changed.test_client()).deployed({"index.html": "y"})
    assert [event["type"] for event in queued(services)] == ["deploy.succeeded"]


def test_only_so_many_wait_and_the_oldest_goes(
    admin: Admin, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "MOST", 3)
    for page in "1234":
        admin.deployed({"index.html": page})
    assert [event["type"] for event in queued(services)] == ["deploy.succeeded"] * 3
    assert queued(services)[-1]["data"]["checkpoint"]["id"] == admin.checkpoints()["current"]
    assert services.counts.memory.totals()["pages_webhook_attempts", "dropped"] == 2


def test_a_tenants_flood_pushes_out_its_own_events(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "MOST", 4)
    box = outbox.Outbox(services.paths, "https://x.y/")
    for who in ("alice", "bob", "bob", "mallory", *["mallory"] * 9):
        box.put(who, "blog", b"{}")
    assert [entry.username for entry in box.entries()] == ["alice", "bob", "mallory", "mallory"]


@pytest.mark.parametrize("status", [200, 500])
def test_an_event_may_be_one_too_many_while_it_is_sent(
    services: Services, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(outbox, "MOST", 1)
    box = outbox.Outbox(services.paths, services.config.webhook_url)
    box.put("default", "blog", b'{"id": "msg_1"}')

    class Meanwhile(Receiver):
        def __call__(self, url: str, headers: dict[str, str], body: bytes) -> Answer:
            box.put("default", "blog", b'{"id": "msg_2"}')
            return Answer(status)

    sender(services, Meanwhile()).run_due(later(0))
    assert [box.read(entry) for entry in box.entries()] == [b'{"id": "msg_2"}']


def test_two_workers_do_not_send_the_same_event(admin: Admin, services: Services) -> None:
    inner = Receiver()
    other = sender(services, inner)

    class Meanwhile(Receiver):
        def __call__(self, url: str, headers: dict[str, str], body: bytes) -> Answer:
            other.run_due(later(1))
            return super().__call__(url, headers, body)

    receiver = Meanwhile()
    sender(services, receiver).run_due(later(0))
    assert (len(receiver.got), len(inner.got)) == (1, 0)


def test_a_clock_that_goes_back_keeps_the_order(services: Services) -> None:
    times = iter([5_000_000_000, 4_000_000_000, 3_000_000_000])
    box = outbox.Outbox(services.paths, "https://x.y/", lambda: next(times))
    for body in (b"1", b"2", b"3"):
        assert box.put("default", "blog", body)
    assert [box.read(entry) for entry in box.entries()] == [b"1", b"2", b"3"]


def test_after_a_clock_that_was_ahead_nothing_waits_for_the_time_it_told(services: Services) -> None:
    ahead = later(365 * 86400)
    box = outbox.Outbox(services.paths, "https://x.y/", lambda: int(ahead.timestamp() * 1e9))
    box.put("default", "blog", b'{"id": "msg_1"}')
    hook = sender(services, Receiver(500, 200))
    hook.run_due(ahead)
    hook.run_due(later(1))
    assert box.entries() == []


@pytest.mark.parametrize(
    "name", ["x", "00000000000000000001,00,00000000000,..,blog.json", ".0123456789abcdef", "a.json"]
)
def test_a_file_that_is_no_event_is_in_nobodys_way(admin: Admin, services: Services, name: str) -> None:
    (services.paths.webhooks / name).write_bytes(b"{")
    receiver = Receiver()
    sender(services, receiver).run_due(later(0))
    assert receiver.types == ["site.created"]


def test_an_event_that_somebody_damaged_is_removed(admin: Admin, services: Services) -> None:
    (waiting,) = services.paths.webhooks.glob("[0-9]*")
    waiting.write_bytes(b"{")
    receiver = Receiver()
    sender(services, receiver).run_due(later(0))
    assert receiver.got == []
    assert queued(services) == []


def test_what_a_crash_left_half_written_goes_after_a_while(admin: Admin, services: Services) -> None:
    left = services.paths.webhooks / ".0123456789abcdef"
    left.write_bytes(b"{")
    os.utime(left, (1, 1))
    sender(services, Receiver()).run_due(later(0))
    assert not left.exists()


# --- In nobody's way ----------------------------------------------------------------------------


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.EACCES])
def test_a_deploy_succeeds_when_its_event_cannot_be_kept(
    admin: Admin, services: Services, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(error, os.strerror(error))

    before = len(queued(services))
    monkeypatch.setattr(outbox.Outbox, "entries", fail)
    admin.deployed({"index.html": "x"})
    monkeypatch.undo()
    assert len(queued(services)) == before
    assert services.counts.memory.totals()["pages_webhook_attempts", "dropped"] == 1


class _Handler(BaseHTTPRequestHandler):
    answers: list[int]
    got: list[tuple[str, dict[str, str], bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.got.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])
        self.send_header("Location", "http://127.0.0.1:1/elsewhere")
        self.send_header("Content-Length", "1000000000")  # Nobody waits for it.
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def real(request: pytest.FixtureRequest) -> Iterator[tuple[str, type[_Handler]]]:
    """A real receiver on this machine, that fails twice; its address, and what it got."""
    handler = type("Handler", (_Handler,), {"answers": [500, 302, 204], "got": []})
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/in?key=1", handler
    server.shutdown()
    thread.join()
    server.server_close()


def test_it_is_sent_over_real_http_and_no_redirect_is_followed(real: tuple[str, type[_Handler]]) -> None:
    url, handler = real
    assert [webhooks.send(url, {"webhook-id": "msg_1"}, b"{}").status for _ in range(3)] == [500, 302, 204]
    assert [path for path, _, _ in handler.got] == ["/in?key=1"] * 3


def test_a_receiver_that_answers_byte_by_byte_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "_ATTEMPT_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            connection, _ = listening.accept()
            with connection:
                try:
                    while True:
                        connection.sendall(b"H")
                        time.sleep(0.02)
                except OSError:
                    return

        thread = threading.Thread(target=drip)
        thread.start()
        began = time.monotonic()
        with pytest.raises((OSError, webhooks.http.client.HTTPException)):
            webhooks.send(f"http://127.0.0.1:{listening.getsockname()[1]}/", {}, b"{}")
        assert time.monotonic() - began < 30
        thread.join()


def test_under_gunicorn_each_event_arrives_once_and_no_secret_is_in_the_log(
    make_server: Callable[..., Server], real: tuple[str, type[_Handler]]
) -> None:
    url, handler = real
    handler.answers[:] = [204]
    server = make_server(PAGES_WEBHOOK_URL=url, PAGES_WEBHOOK_SECRET=SECRET)
    assert server.api("POST", "/_api/sites", {"id": "blog", "domain": "blog.localhost"}).status == 201
    assert server.deploy(zip_of({"index.html": "x"})).status == 200
    wait_until(lambda: len(handler.got) >= 3, "all events arrive")
    told = [json.loads(body)["type"] for _, _, body in handler.got]
    assert sorted(told) == ["deploy.succeeded", "site.created", "site.created"]  # And the welcome site.
    assert told.index("deploy.succeeded") > told.index("site.created")
    assert SECRET not in server.log
    assert "key=1" not in server.log
    wait_until(lambda: not list((server.data / "webhooks").glob("[0-9]*")), "nothing waits any more")


# --- Settings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.com", "https://hooks.example.com:8443/a/b?c=d", "http://127.0.0.1:9000/", "http://[::1]/x",
        "http://localhost:1/", "http://127.9.9.9/", "https://192.0.2.7/",
    ],
)  # fmt: skip
def test_an_address_that_is_safe_is_taken(url: str) -> None:
    assert webhook_keys.is_receiver(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/", "http://192.0.2.7/", "http://127.0.0.1.example.com/", "ftp://localhost/", "https://",
        "https:///x", "hooks.example.com", "https://user:pass@hooks.example.com/", "https://x.y/#z", "https://x.y/ z",
        "https://x.y/\r\nHost: z", "https://例子.中国/", "https://x.y:port/", "https://[::1", "//x.y/", "file:///etc/passwd",
        "http://localhost.example.com/", "http://0.0.0.0/", "http://[::]/",
    ],
)  # fmt: skip
def test_an_address_that_is_not_stops_the_start_without_telling_it(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="webhook_url") as stopped:
        load_config({"PAGES_WEBHOOK_URL": url, "PAGES_WEBHOOK_SECRET": SECRET})
    assert url not in str(stopped.value)


@pytest.mark.parametrize(
    "secret",
    ["", "secret", "whsec_", SECRET[6:], "whsec_" + base64.b64encode(bytes(23)).decode(), SECRET + "!", "whsec_部署"],
)
def test_a_secret_that_is_none_stops_the_start_without_telling_it(secret: str) -> None:
    with pytest.raises(ConfigError, match="webhook_secret") as stopped:
        load_config({"PAGES_WEBHOOK_URL": "https://x.y/", "PAGES_WEBHOOK_SECRET": secret})
    assert not secret or len(secret) < 8 or secret not in str(stopped.value)


def test_a_secret_without_an_address_stops_the_start() -> None:
    with pytest.raises(ConfigError, match="webhook_url"):
        load_config({"PAGES_WEBHOOK_SECRET": SECRET})


@pytest.mark.parametrize("text", ["xml", "", "JSON"])
def test_a_log_format_that_is_none_stops_the_start(text: str) -> None:
    with pytest.raises(ConfigError, match="log_format"):
        load_config({"PAGES_LOG_FORMAT": text})
