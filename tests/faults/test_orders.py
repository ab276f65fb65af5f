"""Everything that changes one site, at once and in every order: some order of the calls explains all answers."""

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from helpers import THOROUGH, Reply, Server, tar_of, tree_of, wait_until, zip_of
from orders_checker import EXISTS, NO_SITE, Done, Site, State, Version, explained

PATH = "/_api/sites/default/blog"
SITE = {"id": "blog", "domain": "blog.localhost"}
THREADS, CALLS = 6, 3
CHANGES = ("create", "delete", "deploy", "checkout", "remove", "snapshot")
# How often each is called; the sum does not matter.
MIXES = {
    "versions": {"deploy": 4, "checkout": 4, "remove": 3, "snapshot": 2, "list": 2, "visit": 3, "show": 1},
    "sites": {"create": 4, "delete": 3, "deploy": 4, "checkout": 2, "remove": 2, "snapshot": 2, "list": 3, "visit": 3},
}


def page_of(version: int) -> dict[str, bytes | str]:
    return {"index.html": f"{version:06d}\n" * 500, "only.txt": f"{version}"}


def told(reply: Reply, *more: Any) -> tuple[Any, ...]:
    """What an answer of the API says: its status, and the reason or what was asked for."""
    return (reply.status, *more) if reply.status < 300 else (reply.status, reply.json()["message"])


class Caller:
    """Makes calls on one site and notes each; knows which checkpoints there were."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.ids: list[str] = ["20200101-000000-00000000"]
        self._version = 0
        self._lock = threading.Lock()

    def call(self, kind: str, dice: random.Random) -> Done:
        with self._lock:
            self._version += 1
            version, known = self._version, self.ids[-12:]
        given = version if kind == "deploy" else dice.choice(known)
        start = time.monotonic()
        answer = getattr(self, kind)(given)
        end = time.monotonic()
        if kind in ("deploy", "snapshot") and answer[0] < 300:
            self.ids.append(answer[1])
        return Done(kind, given, answer, start, end)

    def create(self, _: Any) -> tuple[Any, ...]:
        return told(self.server.api("POST", "/_api/sites", SITE))

    def delete(self, _: Any) -> tuple[Any, ...]:
        return told(self.server.api("DELETE", PATH))

    def deploy(self, version: int) -> tuple[Any, ...]:
        is_zip = version % 2 == 0
        archive, name = (zip_of(page_of(version)), "a.zip") if is_zip else (tar_of(page_of(version)), "a.tar.gz")
        reply = self.server.deploy(archive, name)
        return told(reply, *([reply.json()["data"]["checkpoint"]["id"]] if reply.status == 200 else []))

    def snapshot(self, _: Any) -> tuple[Any, ...]:
        reply = self.server.api("POST", f"{PATH}/checkpoints")
        return told(reply, *([reply.json()["data"]["id"]] if reply.status == 201 else []))

    def checkout(self, checkpoint_id: str) -> tuple[Any, ...]:
        return told(self.server.api("POST", f"{PATH}/checkpoints/{checkpoint_id}/checkout"))

    def remove(self, checkpoint_id: str) -> tuple[Any, ...]:
        return told(self.server.api("DELETE", f"{PATH}/checkpoints/{checkpoint_id}"))

    def list(self, _: Any) -> tuple[Any, ...]:
        reply = self.server.api("GET", f"{PATH}/checkpoints")
        data = reply.json().get("data") or {"current": None, "checkpoints": []}
        return told(reply, data["current"], tuple(checkpoint["id"] for checkpoint in data["checkpoints"]))

    def show(self, checkpoint_id: str) -> tuple[Any, ...]:
        return told(self.server.api("GET", f"{PATH}/checkpoints/{checkpoint_id}"))

    def visit(self, _: Any) -> tuple[Any, ...]:
        reply = self.server.request("GET", "/", host="blog.localhost")
        if reply.status != 200:
            return (reply.status, None)
        lines = set(reply.body.splitlines())
        assert len(reply.body) == 3500, "a torn page"
        assert len(lines) == 1, "a mixture"
        return (200, int(lines.pop()))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"), {"PAGES_WORKERS": "4"}).start()
    yield server
    server.stop()


@pytest.fixture
def caller(running: Server) -> Iterator[Caller]:
    assert running.api("POST", "/_api/sites", SITE).status == 201
    yield Caller(running)
    running.api("DELETE", PATH)


def state_of(caller: Caller, ends: set[State]) -> State:
    """The one of these states that the API, the visitors and the disk all tell; fails when it is none."""
    listed, visited = caller.list(None), caller.visit(None)
    data = caller.server.data
    if listed == NO_SITE:
        left = [path for path in data.rglob("*blog*") if path.relative_to(data).parts[0] not in ("locks", "work")]
        assert (visited, left, None in ends) == ((404, None), [], True), ends
        return None
    found = {state for state in ends if state is not None and listed == (200, state.current, ids_of(state))}
    assert len(found) == 1, (listed, ends)
    (state,) = found
    assert visited == ((404, None) if state.content is None else (200, state.content))
    archives = data / "sites-checkpoints/default/blog/checkpoints"
    on_disk = {path.name.removesuffix(".tar.gz") for path in archives.iterdir()} if archives.exists() else set()
    assert on_disk == set(ids_of(state))
    expected = {} if state.content is None else page_of(state.content)
    tree = tree_of((data / "sites/default/blog").resolve())
    assert tree == {path: str(content).encode() for path, content in expected.items()}
    return state


def ids_of(state: Site) -> tuple[str, ...]:
    return tuple(version.id for version in reversed(state.versions))


def round_of(caller: Caller, mix: dict[str, int], seed: int) -> list[Done]:
    """Several callers at once, each with a few calls one after the other."""
    barrier = threading.Barrier(THREADS)

    def calls(number: int) -> list[Done]:
        dice = random.Random(f"{seed} {number}")
        kinds = dice.choices(list(mix), list(mix.values()), k=CALLS)
        barrier.wait(60)
        return [caller.call(kind, dice) for kind in kinds]

    with ThreadPoolExecutor(THREADS) as pool:
        return [done for made in pool.map(calls, range(THREADS)) for done in made]


@pytest.mark.parametrize("mix", MIXES.values(), ids=MIXES.keys())
def test_some_order_of_the_calls_explains_all_answers_and_what_is_there_after_them(
    caller: Caller, mix: dict[str, int]
) -> None:
    state: State = Site()
    for seed in range(400 if THOROUGH else 8):
        done = round_of(caller, mix, seed)
        # A page is switched to a moment after it is listed: both keep to an order, but not to one for both.
        by_api = explained(state, [each for each in done if each.kind != "visit"])
        seen = explained(state, [each for each in done if each.kind not in ("list", "show")])
        assert by_api, told_of(state, done)
        assert seen, told_of(state, done)
        state = state_of(caller, by_api & seen)
    wait_until(lambda: not list((caller.server.data / "work").iterdir()), "nothing is left over")


def told_of(state: State, done: list[Done]) -> str:
    """The calls in the order they began, for whoever looks for the reason."""
    first = min(each.start for each in done)
    lines = [
        f"{(each.start - first) * 1000:8.2f} {(each.end - first) * 1000:8.2f} {each.kind} {each.given} -> {each.told}"
        for each in sorted(done, key=lambda each: each.start)
    ]
    return "\n".join([f"from {state}", *lines])


def test_a_deploy_under_way_when_its_site_is_made_anew_is_no_version_of_the_new_one_that_was_not_answered(
    caller: Caller,
) -> None:
    for number in range(150 if THOROUGH else 8):
        dice = random.Random(number)

        def calls(kinds: list[str], dice: random.Random = dice) -> list[Done]:
            return [caller.call(kind, dice) for kind in kinds]

        with ThreadPoolExecutor(5) as pool:
            done = [each for made in pool.map(calls, [["delete", "create"], *[["deploy"]] * 4]) for each in made]
        deleted, created = done[:2]
        assert (deleted.told[0], created.told[0]) == (200, 201)
        deploys = done[2:]
        assert {each.told[0] for each in deploys} <= {200, 404}
        listed = caller.list(None)[2]
        # Of those acknowledged before the deletion none is there; of those begun after it all are.
        answered = {each.told[1]: each for each in deploys if each.told[0] == 200}
        assert set(listed) <= set(answered)
        assert not {each.told[1] for each in answered.values() if each.end < deleted.start} & set(listed)
        assert {each.told[1] for each in answered.values() if each.start > created.end} <= set(listed)


def test_a_deploy_that_unpacks_while_its_site_is_made_anew_goes_to_none_of_them(caller: Caller) -> None:
    server = caller.server
    archive = zip_of({"index.html": "old", "large.bin": bytes(100_000_000)})
    with ThreadPoolExecutor(1) as pool:
        deploying = pool.submit(server.deploy, archive)
        wait_until(lambda: list((server.data / "work").glob("*/tree/*")), "the archive is being unpacked")
        assert server.api("DELETE", PATH).status == 200
        assert server.api("POST", "/_api/sites", SITE).status == 201
        assert deploying.result(120).status in (200, 404)  # 200: it was quicker than the deletion.
    assert caller.list(None) == (200, None, ())
    assert caller.visit(None) == (404, None)
    wait_until(lambda: not list((server.data / "work").iterdir()), "nothing is left over")


# --- The checker itself -------------------------------------------------------------------------


def call(kind: str, given: Any, told: tuple[Any, ...], start: float, end: float) -> Done:
    return Done(kind, given, told, start, end)


A, B = "20260101-000000-aaaaaaaa", "20260101-000001-bbbbbbbb"
AT_A = Site((Version(A, 1),), A)


@pytest.mark.parametrize(
    ("calls", "is_explained"),
    [
        ([call("deploy", 2, (200, B), 0, 1), call("visit", None, (200, 2), 2, 3)], True),
        ([call("deploy", 2, (200, B), 0, 1), call("visit", None, (200, 1), 2, 3)], False),  # Stale.
        ([call("deploy", 2, (200, B), 0, 3), call("visit", None, (200, 1), 1, 2)], True),
        (  # Back and forth.
            [
                call("deploy", 2, (200, B), 0, 9),
                call("visit", None, (200, 2), 1, 2),
                call("visit", None, (200, 1), 3, 4),
            ],
            False,
        ),
        ([call("deploy", 2, (200, A), 0, 1)], False),  # An id twice.
        ([call("delete", None, (200,), 0, 2), call("delete", None, (200,), 1, 3)], False),
        ([call("delete", None, (200,), 0, 2), call("delete", None, NO_SITE, 1, 3)], True),
        ([call("create", None, (201,), 0, 2)], False),
        ([call("create", None, EXISTS, 0, 2)], True),
        (  # A deploy to a site that is made anew meanwhile.
            [call("delete", None, (200,), 1, 2), call("create", None, (201,), 3, 4), call("deploy", 2, NO_SITE, 0, 9)],
            True,
        ),
        ([call("checkout", A, (200,), 0, 1), call("remove", A, (200,), 0, 1)], False),  # It is the live one.
        ([call("visit", None, (404, None), 0, 1)], False),  # A gap.
        ([call("list", None, (200, None, ()), 0, 1)], False),
    ],
)
def test_the_checker_tells_answers_that_an_order_explains_from_others(calls: list[Done], is_explained: bool) -> None:
    assert bool(explained(AT_A, calls)) == is_explained
