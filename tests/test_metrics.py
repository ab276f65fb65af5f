"""Metrics: counted once, by whichever worker; never backwards, however workers end; few of them, and no secrets."""

import io
import json
import os
import re
import signal
import struct
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from helpers import PROJECT, Admin, Reply, Server, assert_success, basic, wait_until, zip_of
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from pages.app import create_app
from pages.config import Config
from pages.counters import Counts, Memory
from pages.measures import DEPLOYS, FAILED_LOGINS, REQUEST_SECONDS, REQUESTS, all_keys

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples_of(text: str) -> Samples:
    """Every sample by name and labels."""
    families = text_string_to_metric_families(text)
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


def total(samples: Samples, name: str, **labels: str) -> float:
    """The sum over all labels but those that are named."""
    return sum(v for (n, at), v in samples.items() if n == name and frozenset(labels.items()) <= at)


def told(admin: Admin) -> Samples:
    reply = admin.get("/_api/metrics")
    assert reply.status_code == 200
    return samples_of(reply.text)


# --- What is counted ----------------------------------------------------------------------------


def test_it_is_prometheus_text_of_version_0_0_4_unless_asked_otherwise(admin: Admin) -> None:
    reply = admin.get("/_api/metrics")
    assert reply.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert reply.headers["Cache-Control"] == "no-store"


def test_who_accepts_openmetrics_gets_it(admin: Admin) -> None:
    accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
    reply = admin.get("/_api/metrics", headers={"Accept": accept})
    assert reply.mimetype == "application/openmetrics-text"
    assert list(openmetrics_families(reply.text))


def test_a_tenant_and_nobody_are_told_nothing(make_config: Callable[..., Config], tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[users.alice]\npass = "wonder"\n')
    app = create_app(make_config())
    assert Admin(app.test_client(), "alice", "wonder").get("/_api/metrics").status_code == 403
    assert app.test_client().get("/_api/metrics").status_code == 401


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"actions": ["read"]}, 200),
        ({"actions": ["admin"]}, 200),
        ({"actions": ["deploy"]}, 403),
        ({"actions": ["read"], "username": "default"}, 403),
        ({"actions": ["read"], "username": "default", "site": "blog"}, 403),
    ],
)
def test_a_token_is_told_when_it_is_to_read_and_for_every_tenant(
    admin: Admin, fields: dict[str, Any], status: int
) -> None:
    token = assert_success(admin.post("/_api/tokens", json={"name": "prometheus", **fields}), 201)["token"]
    reply = admin.client.get("/_api/metrics", headers={"Authorization": f"Bearer {token}"})
    assert reply.status_code == status


@pytest.mark.parametrize(
    ("ask", "front", "method", "status"),
    [
        (lambda admin: admin.visit("/"), "visitor", "read", "2xx"),
        (lambda admin: admin.visit("/none"), "visitor", "read", "4xx"),
        (lambda admin: admin.visit("/", method="HEAD"), "visitor", "read", "2xx"),
        (lambda admin: admin.visit("/", method="POST"), "visitor", "change", "4xx"),
        (lambda admin: admin.visit("/folder"), "visitor", "read", "3xx"),
        (lambda admin: admin.visit("/", host="nobody.localhost"), "visitor", "read", "4xx"),
        (lambda admin: admin.get("/_api/sites"), "api", "read", "2xx"),
        (lambda admin: admin.get("/_api/none"), "api", "read", "4xx"),
        (lambda admin: admin.post("/_api/sites", json={}), "api", "change", "4xx"),
        (lambda admin: admin.client.get("/_api/sites"), "api", "read", "4xx"),
        (lambda admin: admin.post("/api/admin/maintenance", json={"action": "clear-cache"}), "api", "change", "2xx"),
    ],
)
def test_a_request_is_counted_once_by_front_method_and_status(
    admin: Admin, ask: Callable[[Admin], object], front: str, method: str, status: str
) -> None:
    admin.deployed({"index.html": "x", "folder/index.html": "y"})
    before = told(admin)
    ask(admin)
    after = told(admin)
    changed = {key: after[key] - before[key] for key in after if key[0] == "pages_requests_total"}
    own = ("pages_requests_total", frozenset({("front", "api"), ("method", "read"), ("status", "2xx")}))
    changed[own] -= 1  # The first look itself.
    labels = frozenset({("front", front), ("method", method), ("status", status)})
    assert {key: count for key, count in changed.items() if count} == {("pages_requests_total", labels): 1}


def test_a_requests_time_is_in_one_bucket_and_all_above(admin: Admin) -> None:
    for _ in range(5):
        admin.visit("/")
    samples = told(admin)
    buckets = [
        v for (name, at), v in samples.items() if name.endswith("_seconds_bucket") and ("front", "visitor") in at
    ]
    assert buckets == sorted(buckets)
    assert buckets[-1] == value(samples, "pages_request_duration_seconds_count", front="visitor") == 5
    assert 0 < value(samples, "pages_request_duration_seconds_sum", front="visitor") < 60


@pytest.mark.parametrize(
    ("seconds", "bucket"), [(0, "0.001"), (0.001, "0.001"), (0.0011, "0.0025"), (600, "600.0"), (601, "+Inf")]
)
def test_a_bucket_holds_what_is_not_above_its_bound(app: Flask, seconds: float, bucket: str) -> None:
    counts: Counts = app.extensions["pages"].counts
    counts.request("visitor", "GET", "200 OK", seconds)
    found = {key[2] for key, count in counts.memory.totals().items() if key[0] == REQUEST_SECONDS.name and count == 1}
    assert bucket in found


@pytest.mark.parametrize(
    ("deploy", "result"),
    [
        (lambda admin: admin.deploy(zip_of({"index.html": "x"})), "live"),
        (lambda admin: admin.deploy(zip_of({"index.html": "x"}), site="default/blog", root=""), "live"),
        (lambda admin: deploy_to(admin, "?activate=false"), "stored"),
        (lambda admin: admin.deploy(b"no archive"), "refused"),
        (lambda admin: admin.deploy(zip_of({"../x": "x"})), "refused"),
        (lambda admin: admin.post("/_api/sites/default/blog/deploy"), "refused"),
        (lambda admin: deploy_to(admin, "?dry_run=true"), None),
        (lambda admin: admin.deploy(b"", site="default/none"), None),
        (lambda admin: admin.client.post("/_api/sites/default/blog/deploy"), None),
    ],
)
def test_a_deploy_is_counted_by_how_it_ended(
    admin: Admin, deploy: Callable[[Admin], object], result: str | None
) -> None:
    deploy(admin)
    samples = told(admin)
    found = {r: value(samples, "pages_deploys_total", result=r) for r in ("live", "stored", "refused", "failed")}
    assert {name for name, count in found.items() if count} == ({result} if result else set())
    done = found["live"] + found["stored"]
    assert (
        value(samples, "pages_deploy_size_bytes_count") == value(samples, "pages_deploy_duration_seconds_count") == done
    )


def test_a_retry_of_the_same_deploy_is_counted_once(admin: Admin) -> None:
    for content in ("1", "1", "2", "1"):
        data = {"file": (io.BytesIO(zip_of({"index.html": content})), "site.zip")}
        key = {"Idempotency-Key": f"build-{content}"}
        assert admin.post("/_api/sites/default/blog/deploy", data=data, headers=key).status_code == 200
    samples = told(admin)
    assert value(samples, "pages_deploys_total", result="live") == 2
    assert value(samples, "pages_deploys_total", result="stored") == 0
    assert value(samples, "pages_deploy_size_bytes_count") == 2


def deploy_to(admin: Admin, query: str) -> Any:
    data = {"file": (io.BytesIO(zip_of({"index.html": "new"})), "site.zip")}
    return admin.post(f"/_api/sites/default/blog/deploy{query}", data=data)


def test_a_deploy_that_the_disk_ends_is_counted_as_failed(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pages.files.sync_file_system", full)
    assert admin.deploy(zip_of({"index.html": "x"})).status_code == 507
    assert value(told(admin), "pages_deploys_total", result="failed") == 1


def test_switches_are_counted_by_direction(admin: Admin) -> None:
    first, second = (admin.deployed({"index.html": page})["id"] for page in "12")
    for checkpoint in (first, second, first, first):
        assert admin.checkout(checkpoint).status_code == 200
    samples = told(admin)
    assert value(samples, "pages_switches_total", kind="rolled_back", by="request") == 2
    assert value(samples, "pages_switches_total", kind="checked_out", by="request") == 1


def test_failed_logins_are_counted(app: Flask, admin: Admin) -> None:
    assert app.test_client().get("/_api/sites", headers=basic("admin", "wrong")).status_code == 401
    assert value(told(admin), "pages_failed_logins_total") == 1


# --- What is seen -------------------------------------------------------------------------------


def test_sites_and_checkpoints_are_counted_in_the_background(admin: Admin) -> None:
    admin.create("off", enabled=False)
    admin.deployed({"index.html": "x"})
    samples = told(admin)
    assert value(samples, "pages_sites", state="enabled") == 2  # With the welcome site.
    assert value(samples, "pages_sites", state="disabled") == 1
    assert value(samples, "pages_checkpoints") == 1
    assert value(samples, "pages_checkpoint_bytes") == admin.checkpoints()["checkpoints"][0]["file_size"]


def test_a_look_at_all_sites_is_not_taken_at_each_scrape(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    told(admin)
    registry = admin.client.application.extensions["pages"].registry
    monkeypatch.setattr(registry, "names", lambda *_: pytest.fail("looked again"))
    assert value(told(admin), "pages_sites", state="enabled") == 2


def test_a_record_that_cannot_be_read_is_counted_as_broken(admin: Admin, data: Path) -> None:
    (data / "registry/default/blog.json").write_text("{")
    assert value(told(admin), "pages_sites", state="broken") == 1


def test_the_newest_backup_is_told_with_its_time_and_size(admin: Admin, tmp_path: Path) -> None:
    assert total(told(admin), "pages_backup_last_size_bytes") == 0
    before = time.time()
    reply = admin.post("/api/admin/maintenance", json={"action": "backup"}).json
    samples = told(admin)
    backup = tmp_path / "backups" / reply["backupFile"]
    assert value(samples, "pages_backup_last_size_bytes", kind="data") == backup.stat().st_size
    assert before - 0.01 <= value(samples, "pages_backup_last_timestamp_seconds", kind="data") <= time.time()


def test_a_checkout_that_waits_for_its_confirmation_is_told(admin: Admin) -> None:
    first = admin.deployed({"index.html": "1"})["id"]
    admin.deployed({"index.html": "2"})
    admin.post(f"/_api/sites/default/blog/checkpoints/{first}/checkout?confirm_within=600")
    samples = told(admin)
    assert value(samples, "pages_confirmations_waiting") == value(samples, "pages_switches_waiting") == 1
    assert 500 < value(samples, "pages_confirmation_next_timestamp_seconds") - time.time() < 601
    assert value(samples, "pages_switches_overdue_seconds") == 0


def test_no_address_site_user_or_secret_is_told(admin: Admin) -> None:
    admin.create("secretsite", username="secretuser")
    admin.visit("/secretpath", host="secretsite.localhost")
    admin.client.get("/_api/sites", headers=basic("secretname", "secretpass"))
    assert "secret" not in admin.get("/_api/metrics").text


# --- The documents ------------------------------------------------------------------------------


def exposed(admin: Admin) -> dict[str, str]:
    """Every metric's name, as in a query, with its type."""
    families = text_string_to_metric_families(admin.get("/_api/metrics").text)
    return {f"{f.name}_total" if f.type == "counter" else f.name: f.type for f in families}


def test_docs_monitoring_has_every_metric_and_no_other(admin: Admin) -> None:
    first = admin.deployed({"index.html": "1"})["id"]
    admin.deployed({"index.html": "2"})
    admin.post(f"/_api/sites/default/blog/checkpoints/{first}/checkout?confirm_within=600")
    document = (PROJECT / "docs/monitoring.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(pages_\w+)`.*? \| (\w+) \|", document, re.MULTILINE))
    assert rows == exposed(admin)


@pytest.mark.parametrize("name", ["deploy/grafana/pages.json", "deploy/prometheus/alerts.yml"])
def test_dashboard_and_alerts_name_only_metrics_that_there_are(admin: Admin, name: str) -> None:
    text = (PROJECT / name).read_text(encoding="utf-8")
    first = admin.deployed({"index.html": "1"})["id"]
    admin.deployed({"index.html": "2"})
    admin.post(f"/_api/sites/default/blog/checkpoints/{first}/checkout?confirm_within=600")
    histograms = [name for name, kind in exposed(admin).items() if kind == "histogram"]
    known = {f"{name}_{part}" for name in histograms for part in ("bucket", "sum", "count")} | set(exposed(admin))
    named = set(re.findall(r"\bpages_[a-z_]+\b", text))
    assert named
    assert named - known == set()


def test_the_dashboard_is_json_whose_panels_all_have_queries() -> None:
    dashboard = json.loads((PROJECT / "deploy/grafana/pages.json").read_text(encoding="utf-8"))
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    assert len(panels) >= 8
    assert all(target["expr"] for panel in panels for target in panel["targets"])
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


# --- Several workers ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def conf() -> ModuleType:
    """gunicorn.conf.py, without what it asks of a process apart."""
    source = (PROJECT / "gunicorn.conf.py").read_text(encoding="utf-8")
    begin, end = source.index("# --- What workers count"), source.index("def on_starting")
    module = ModuleType("conf")
    exec("import json, mmap, struct, time\n" + source[begin:end], module.__dict__)
    return module


def test_what_dead_workers_counted_is_kept_and_their_slots_are_used_again(conf: Any) -> None:
    master = SimpleNamespace(WORKERS={})
    for number in range(1000):
        worker = SimpleNamespace()
        conf.pre_fork(master, worker)
        assert worker.pages_slot == 1
        counts = Counts(Memory(memoryview(master.pages_counts)), worker.pages_slot)
        counts.add(DEPLOYS, "live")
        counts.busy(1)
        if number % 2:  # The others are only found dead when their slot is wanted.
            conf.child_exit(master, worker)
    totals = counts.memory.totals()
    assert totals["pages_deploys", "live"] == 1000
    assert counts.memory.living() == 0
    assert {key for key, count in totals.items() if count} == {("pages_deploys", "live")}


def test_a_worker_of_another_version_counts_beside_and_what_it_counted_stays(conf: Any) -> None:
    master = SimpleNamespace(WORKERS={})
    old, new = SimpleNamespace(), SimpleNamespace()
    conf.pre_fork(master, old)
    master.WORKERS[1] = old
    memory = Memory(memoryview(master.pages_counts))
    places = memory.claim(old.pages_slot, [("pages_gone",), ("pages_deploys", "live"), ("=now",)])
    places[0], places[1], places[2] = 7, 3, 1
    conf.pre_fork(master, new)
    counts = Counts(memory, new.pages_slot)
    counts.add(DEPLOYS, "live")
    assert memory.totals()["pages_deploys", "live"] == 4
    conf.child_exit(master, old)
    assert memory.totals()["pages_deploys", "live"] == 4
    assert memory.totals()["pages_gone",] == 7
    assert ("=now",) not in memory.totals()


@pytest.mark.parametrize(
    "content", [b"{", b"7", b"[7]", b"[[]]", b'["=x"]', b"\xff\xfe", b'[["a"]]' * 2000, b"[" * 9000]
)
def test_a_worker_that_wrote_rubbish_ends_nobody_else_and_costs_its_own_counts_only(conf: Any, content: bytes) -> None:
    master = SimpleNamespace(WORKERS={})
    good, bad = SimpleNamespace(), SimpleNamespace()
    conf.pre_fork(master, good)
    counts = Counts(Memory(memoryview(master.pages_counts)), good.pages_slot)
    counts.add(DEPLOYS, "live")
    conf.child_exit(master, good)
    conf.pre_fork(master, bad)
    start = conf._SLOTS_AT + bad.pages_slot * conf._SLOT_BYTES
    master.pages_counts[start : start + len(content[: conf._SLOT_BYTES])] = content[: conf._SLOT_BYTES]
    conf.struct.pack_into("=Q", master.pages_counts, conf._LENGTHS_AT + 8 * bad.pages_slot, len(content))
    assert counts.memory.totals()["pages_deploys", "live"] == 1
    conf.child_exit(master, bad)
    assert counts.memory.totals()["pages_deploys", "live"] == 1
    assert counts.memory.living() == 0


def test_more_workers_than_slots_still_count(conf: Any) -> None:
    master = SimpleNamespace(WORKERS={})
    for number in range(300):
        worker = master.WORKERS[number] = SimpleNamespace()
        conf.pre_fork(master, worker)
        Counts(Memory(memoryview(master.pages_counts)), worker.pages_slot).add(FAILED_LOGINS)
    assert Memory(memoryview(master.pages_counts)).totals()["pages_failed_logins",] == 300


def test_at_every_step_of_keeping_counts_they_are_right_or_said_to_be_in_the_making(
    conf: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    master, worker = SimpleNamespace(WORKERS={}), SimpleNamespace()
    conf.pre_fork(master, worker)
    counts = Counts(Memory(memoryview(master.pages_counts)), worker.pages_slot)
    counts.add(DEPLOYS, "live")
    steps = []

    def pack_into(*arguments: Any) -> None:
        struct.pack_into(*arguments)
        is_right = counts.memory._added_up()["pages_deploys", "live"] == 1
        steps.append((is_right, counts.memory._versions[0] % 2 == 1))

    names = {name: getattr(struct, name) for name in ("unpack_from", "error")}
    monkeypatch.setattr(conf, "struct", SimpleNamespace(**names, pack_into=pack_into))
    conf.child_exit(master, worker)
    assert all(is_right or is_in_the_making for is_right, is_in_the_making in steps)
    assert (False, True) in steps
    assert steps[-1] == (True, False)


def test_who_reads_counts_in_the_making_reads_them_again(conf: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    master = SimpleNamespace(WORKERS={})
    conf.pre_fork(master, SimpleNamespace())
    memory = Memory(memoryview(master.pages_counts))
    found = iter([{("x",): 1.0}, {("x",): 2.0}])

    def added_up() -> dict[tuple[str, ...], float]:
        totals = next(found)
        if totals["x",] == 1:
            memory._versions[0] += 2
        return totals

    monkeypatch.setattr(memory, "_added_up", added_up)
    assert memory.totals() == {("x",): 2.0}


def test_the_places_of_all_counts_fit_into_a_slot_with_room_for_a_later_version(conf: Any) -> None:
    assert 3 * (len(json.dumps(all_keys())) + 8 * len(all_keys())) < conf._SLOT_BYTES
    assert all_keys()[0][0] == REQUESTS.name


def scrape(server: Server) -> Samples:
    reply: Reply = server.request("GET", "/_api/metrics", headers=basic())
    assert reply.status == 200
    return samples_of(reply.body.decode())


def visits(samples: Samples) -> float:
    return total(samples, "pages_requests_total", front="visitor")


def test_counts_add_up_over_workers_and_survive_reloads_and_killed_workers(make_server: Callable[..., Server]) -> None:
    server = make_server(PAGES_WORKERS="2")
    assert server.process is not None
    count, before = 0, scrape(server)

    def visit(times: int) -> None:
        nonlocal count
        for _ in range(times):
            assert server.request("GET", "/", host="localhost").status == 200
        count += times

    def never_backwards() -> Samples:
        nonlocal before
        after = scrape(server)
        counters = [key for key in before if key[0].endswith(("_total", "_count", "_sum", "_bucket"))]
        assert [key for key in counters if after[key] < before[key]] == []
        assert visits(after) == count
        before = after
        return after

    visit(40)
    never_backwards()
    old = server.workers()
    os.kill(sorted(old)[0], signal.SIGKILL)
    wait_until(lambda: len(server.workers() - old) == 1 and len(server.workers()) == 2, "another worker")
    visit(20)
    never_backwards()
    old = server.workers()
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: len(server.workers()) == 2 and not server.workers() & old, "new workers")
    visit(20)
    samples = never_backwards()
    assert value(samples, "pages_workers") == 2
    assert value(samples, "pages_threads_busy") >= 1  # Who scrapes; on a busy machine one before has not ended.
    assert value(samples, "pages_threads") == 16
    server.stop()
    server.start()
    after = scrape(server)
    assert visits(after) == 0  # Another life.
    assert value(after, "pages_start_time_seconds") > value(samples, "pages_start_time_seconds")
