"""Is there an order of what was done that explains every answer? (Linearizability, by search.)

A ``Done`` is one call with its answer and the moments before and after it. Two calls may have happened in either
order when they overlap. The search tries orders until one explains all answers by a plain model of one site.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple


class Version(NamedTuple):
    """One checkpoint: its id, and which version of the site it holds."""

    id: str
    content: int


class Site(NamedTuple):
    """The model of a site: its checkpoints, oldest first, and which one is live. No site is None."""

    versions: tuple[Version, ...] = ()
    current: str | None = None

    def find(self, checkpoint_id: str | None) -> Version | None:
        return next((version for version in self.versions if version.id == checkpoint_id), None)

    @property
    def content(self) -> int | None:
        """What visitors see; None for nothing."""
        live = self.find(self.current)
        return None if live is None else live.content


State = Site | None


@dataclass(frozen=True)
class Done:
    """One call: ``given`` is a version or a checkpoint's id, ``told`` what the answer said (status first)."""

    kind: str
    given: Any
    told: tuple[Any, ...]
    start: float
    end: float


class Impossible(Exception):
    """The model would not have answered so."""


NO_SITE = (404, "站点不存在")
NO_CHECKPOINT = (404, "检查点不存在")
IN_USE = (409, "不能删除当前激活的检查点")
EXISTS = (409, "站点已存在")
EMPTY = (409, "站点目录为空，无法创建检查点")


def after(state: State, done: Done) -> State:
    """The state after a call that was answered so; ``Impossible`` when it would have been answered otherwise."""
    if done.kind == "visit":
        _expect(done.told == ((404, None) if state is None or state.content is None else (200, state.content)))
        return state
    if done.kind == "create":
        _expect(done.told[0] == 201 if state is None else done.told == EXISTS)
        return state or Site()
    if state is None:
        _expect(done.told == NO_SITE)
        return None
    _expect(done.told != NO_SITE)
    return _ON_A_SITE[done.kind](state, done)


def _expect(holds: bool) -> None:
    if not holds:
        raise Impossible()


def _delete(state: Site, done: Done) -> State:
    _expect(done.told[0] == 200)
    return None


def _add(state: Site, done: Done, content: int) -> Site:
    status, checkpoint_id = done.told
    _expect(status in (200, 201) and all(checkpoint_id > version.id for version in state.versions))
    return Site((*state.versions, Version(checkpoint_id, content)), checkpoint_id)


def _deploy(state: Site, done: Done) -> Site:
    return _add(state, done, done.given)


def _snapshot(state: Site, done: Done) -> Site:
    if state.content is None or state.current is None:
        _expect(done.told == EMPTY)
        return state
    # An id ends with the first digits of its content's digest.
    _expect(done.told[0] == 201 and done.told[1][-8:] == state.current[-8:])
    return _add(state, done, state.content)


def _checkout(state: Site, done: Done) -> Site:
    if state.find(done.given) is None:
        _expect(done.told == NO_CHECKPOINT)
        return state
    _expect(done.told[0] == 200)
    return state._replace(current=done.given)


def _remove(state: Site, done: Done) -> Site:
    if state.find(done.given) is None:
        _expect(done.told == NO_CHECKPOINT)
        return state
    if state.current == done.given:
        _expect(done.told == IN_USE)
        return state
    _expect(done.told[0] == 200)
    return state._replace(versions=tuple(version for version in state.versions if version.id != done.given))


def _list(state: Site, done: Done) -> Site:
    _expect(done.told == (200, state.current, tuple(version.id for version in reversed(state.versions))))
    return state


def _show(state: Site, done: Done) -> Site:
    _expect(done.told == NO_CHECKPOINT if state.find(done.given) is None else done.told[0] == 200)
    return state


_ON_A_SITE = {
    "delete": _delete,
    "deploy": _deploy,
    "snapshot": _snapshot,
    "checkout": _checkout,
    "remove": _remove,
    "list": _list,
    "show": _show,
}


def explained(before: State, calls: list[Done]) -> set[State]:
    """The states that an order of the calls can end in which explains all their answers; none if there is none."""
    calls = sorted(calls, key=lambda done: done.start)
    everything = (1 << len(calls)) - 1
    ends: set[State] = set()
    tried: set[tuple[int, State]] = set()
    ways = [(0, before)]
    while ways:
        way = ways.pop()
        if way in tried:
            continue
        tried.add(way)
        happened, state = way
        if happened == everything:
            ends.add(state)
            continue
        left = [index for index in range(len(calls)) if not happened >> index & 1]
        first_end = min(calls[index].end for index in left)
        for index in left:
            if calls[index].start > first_end:  # Another one was over before it began, and so all after this.
                break
            try:
                ways.append((happened | 1 << index, after(state, calls[index])))
            except Impossible:
                continue
    return ends
