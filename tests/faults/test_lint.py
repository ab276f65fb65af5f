"""Durability: nothing is relied on before it is on disk, in every operation and under the real server."""

import re
from collections.abc import Callable

import pytest
from faults import lint
from faults.injector import library
from faults.lint import findings
from faults.mutations import REDUNDANT, trace_of
from faults.scenes import LINT_SCENES, LONG_SCENES, SCENES
from helpers import THOROUGH, Server, zip_of

_QUICK = ["a life", "a life with plans", "first start", "deploy over a folder", "cold checkout"]
_SCENES = [*SCENES, *LONG_SCENES, *LINT_SCENES] if THOROUGH else _QUICK


@pytest.mark.parametrize("scene", _SCENES)
def test_nothing_is_relied_on_before_it_is_on_disk(scene: str) -> None:
    events = trace_of(scene)
    assert [event for event in events if event.call == "answer"]
    assert findings(events) == []


@pytest.mark.parametrize("scene", _SCENES if THOROUGH else _QUICK[:2])
def test_every_sync_is_needed_or_known_not_to_be(scene: str) -> None:
    events = trace_of(scene)
    for event in events:
        if event.call in ("fsync", "syncfs") and not findings(events, without=event.number):
            call = f"{event.call} {event.path}"
            assert any(re.fullmatch(known, call) for known in REDUNDANT), f"{event} could be left out"


def test_nothing_is_relied_on_before_it_is_on_disk_under_the_real_server(make_server: Callable[..., Server]) -> None:
    server = make_server(start=False)
    log = server.folder / "calls"
    server.settings |= {"LD_PRELOAD": str(library()), "INJECT_ROOT": str(server.folder), "INJECT_LOG": str(log)}
    server.start()
    site = "/_api/sites/default/blog"
    answers = [server.api("POST", "/_api/sites", {"id": "blog", "domain": "blog.localhost"})]
    made = []
    for number in range(4):
        answers.append(server.deploy(zip_of({"index.html": f"version {number} " * 200, f"{number}.txt": "x"})))
        made.append(answers[-1].json()["data"]["checkpoint"]["id"])
    answers += [
        server.api("POST", f"{site}/checkpoints/{made[0]}/checkout"),
        server.api("DELETE", f"{site}/checkpoints/{made[1]}"),
        server.api("POST", f"{site}/checkpoints", {}),
        server.api("PUT", site, {"domain": "new.localhost"}),
        server.api("PUT", site, {"enabled": False}),
        server.api("POST", "/api/admin/maintenance", {"action": "backup"}),
        server.api("POST", "/api/admin/maintenance", {"action": "clear-cache"}),
        server.api("POST", "/_api/reload"),
        server.api("DELETE", site),
    ]
    server.stop()
    assert {answer.status for answer in answers} <= {200, 201}
    events = lint.events_of(log.read_text(), server.folder)
    assert len([event for event in events if event.call == "answer"]) >= len(answers)
    assert findings(events) == []
