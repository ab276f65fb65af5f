"""The laboratory: every scene, every call, every fault; what is wrong afterwards.

A program of its own, as it starts itself anew with the injector in front of libc::

    python -m faults.lab --list
    python -m faults.lab "second deploy" --modes kill,eio
    python -m faults.lab "second deploy" --modes kill --at 37
    python -m faults.lab "a life" --trace trace.log

It prints JSON: ``points``, ``calls`` and ``wrong``. PYTHONPATH says where ``pages`` and these tests are: with
``PYTHONPATH=/a/patched/copy:tests`` it judges a patched copy of ``pages``. FAULTS_LOG=1 shows what Pages logs.
"""

import argparse
import gc
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from faults import injector, invariants
from faults.injector import MODES, Mode

from pages.services import build_services

_REFUSALS = (500, 503, 507)
# But for that of compressed twins, which nobody waits for: they are made in a folder with a random name.
_SYNC = re.compile(r"fsync |fdatasync |syncfs (?!\S*/work/[0-9a-f]{16}/[0-9a-f]{16} )")
# Harmless for visitors, and put right by a reload or start: litter, a link that its record does not bear out.
_FOR_A_START = ("I9 ", "I1 the domains' links", "I1 nginx's links")


class Ground(Protocol):
    """Where a scene is played: a folder that can be put back to what it was."""

    root: Path
    mount_point: Path | None

    def save(self) -> None: ...
    def restore(self) -> None: ...
    def after_cut(self) -> None: ...


class Folder:
    """A ground in memory where there is room: a killed process loses nothing that it wrote."""

    mount_point = None

    def __init__(self, folder: Path) -> None:
        self.root, self._saved = folder / "root", folder / "saved"
        self.root.mkdir()

    def save(self) -> None:
        shutil.copytree(self.root, self._saved, symlinks=True)

    def restore(self) -> None:
        shutil.rmtree(self.root)
        shutil.copytree(self._saved, self.root, symlinks=True)

    def after_cut(self) -> None:
        raise AssertionError("no power can be cut here")


@dataclass
class Result:
    """What a process that faults hit had to tell: how many steps were acknowledged, and what was wrong."""

    acknowledged: int = 0
    told: dict[str, Any] = field(default_factory=dict)
    status: int = 0


class Lab:
    """One scene on one ground."""

    def __init__(self, ground: Ground, setup: list[Any], steps: list[Any], seed: str = "") -> None:
        from faults import scenes

        gc.disable()
        self._scenes, self._ground, self._steps = scenes, ground, steps
        self._data = ground.root / "data"
        self._chance = random.Random(seed)
        self.errors = scenes.be_quiet()
        self.recovery_crashes = 0
        injector.watch(ground.root)

        def prepare() -> None:
            world = scenes.World(ground.root)
            for step in setup:
                reply = step(world)
                assert reply.status_code < 300, reply.text

        _must(prepare)
        ground.save()
        # Made once: every process here is a fork that has it already.
        self._world = scenes.World(ground.root)
        self._is_edited = scenes.edit_by_hand in setup
        self._is_prepared = scenes.prepared_folder in setup
        self.states, self.seen, self.calls = self._rehearse()

    def _rehearse(self) -> tuple[list[str], list[Any], dict[str, int]]:
        """What is so after each step when all goes well, and how many calls each kind of fault can hit."""
        told = self._in_child(self._play_slowly).told
        calls = {}
        for name, mode in (("all", MODES["kill"]), ("write", MODES["short"]), ("open", MODES["emfile"])):
            self._ground.restore()
            calls[name] = self._in_child(lambda report, mode=mode: self._count(report, mode)).told["calls"]
        return told["states"], told["seen"], calls

    def _play_slowly(self, report: Callable[[dict[str, Any]], None]) -> None:
        world = self._world
        states, seen = [invariants.state(self._data)], [invariants.seen(self._data)]
        for step in self._steps:
            reply = step(world)
            assert reply.status_code < 300, reply.text
            states.append(invariants.state(self._data))
            seen.append(invariants.seen(self._data))
        report({"states": states, "seen": seen})

    def _count(self, report: Callable[[dict[str, Any]], None], mode: Mode) -> None:
        world = self._world
        injector.arm(mode, 0)
        for step in self._steps:
            step(world)
        report({"calls": injector.count()})

    def last_call(self, mode: Mode) -> int:
        """How many points there are; with one after the last acknowledgement when the power can be cut."""
        return (
            self.calls["open" if mode.reads else "write" if mode.kind == MODES["short"].kind else "all"] + mode.is_cut
        )

    def trace(self, path: Path) -> None:
        """Play the scene with every call written into a log, and a mark at every acknowledgement."""

        def play(report: Callable[[dict[str, Any]], None]) -> None:
            injector.log_to(path)
            world = self._world
            injector.mark("started", str(self._ground.root))
            for step in self._steps:
                reply = step(world)
                injector.mark("answer", str(reply.status_code))
            report({})

        self._ground.restore()
        self._in_child(play)

    # --- One point --------------------------------------------------------------------------

    def point(self, mode: Mode, number: int) -> list[str]:
        """Play the scene with a fault at one call, start again, and see what is wrong."""
        self._ground.restore()
        result = self._in_child(lambda report: self._play(report, mode, number))
        if mode.is_deadly:
            return self._judge_crash(mode, number, result)
        if "wrong" not in result.told:
            return [f"the process ended with status {result.status}"]
        return result.told["wrong"] + self._judge_errors(result, mode, is_telling=number % 2 == 1)

    def _play(self, report: Callable[[dict[str, Any]], None], mode: Mode, number: int) -> None:
        world = self._world
        injector.arm(mode, number, self._ground.mount_point)
        reply = None
        for step in self._steps:
            reply = step(world)
            if reply.status_code >= 300:
                break
            os.write(self._pipe, b"+")
        if mode.is_deadly:
            if mode.is_cut:
                injector.cut_the_power()
            os._exit(0)
        where = injector.where()
        injector.disarm()
        assert reply is not None
        report({"wrong": self._judge_living(world, reply, where, mode, number % 2 == 0), "where": where})

    def _judge_living(self, world: Any, reply: Any, where: str, mode: Mode, goes_on: bool) -> list[str]:
        """After an error, in the same process: refused with 500 or 507, old or new, no litter, and all goes on.

        While errors go on nothing can be finished or undone: what visitors get is old or new, the rest is a start's.
        """
        wrong = list(self.errors.found)
        text = reply.get_data(as_text=True)
        if reply.status_code >= 300 and (reply.status_code not in _REFUSALS or not _is_refusal(text)):
            wrong.append(f"answered {reply.status_code} {text}")
        told = invariants.seen(self._data) if mode.goes_on else invariants.state(self._data)
        if told not in (self.seen if mode.goes_on else self.states):
            wrong.append(f"I7 neither old nor new: {told}")
        if reply.status_code < 300 and _SYNC.match(where):
            wrong.append("acknowledged, though it is not known to be on disk")
        if not mode.goes_on:
            wrong += [what for what in self._violations() if not self._is_excused(what, where)]
        if goes_on:
            wrong += self._scenes.goes_on(world)
            wrong += [what for what in self._violations() if not (mode.goes_on and what.startswith(_FOR_A_START))]
        return [f"at {where}: {what}" for what in wrong]

    @staticmethod
    def _is_excused(what: str, where: str) -> bool:
        """What failed was the tidying itself: the next start does it."""
        return what.startswith("I9 ") and (where.startswith(("unlink", "rmdir", "open")) and "/work/" in where)

    def _judge_errors(self, result: Result, mode: Mode, is_telling: bool) -> list[str]:
        """After a restart, too, everything is in order; and old or new, where nothing else was done since."""
        where = result.told["where"]
        if self._start() != 0:
            return [f"at {where}: the start fails"]
        wrong = self._violations()
        if mode.goes_on:  # A site deleted by half, and created again: its checkpoints are not deleted but kept.
            wrong = [what for what in wrong if not what.startswith("I9 something was set aside")]
        if is_telling and invariants.state(self._data) not in self.states:
            wrong.append(f"I7 neither old nor new: {invariants.state(self._data)}")
        return [f"at {where}, after a restart: {what}" for what in wrong]

    def _violations(self) -> list[str]:
        found = invariants.violations(self._data) + [f"I9 orphan: {path}" for path in invariants.orphans(self._data)]
        # What was edited by hand before the scene is not what the archive holds: until then it may be served.
        # A folder that waits for its site to be created is of no site yet.
        return [
            what
            for what in found
            if not (self._is_edited and what.endswith(invariants.NOT_SERVED))
            and not (self._is_prepared and what.startswith("I9 sites/ has"))
        ]

    def _judge_crash(self, mode: Mode, number: int, result: Result) -> list[str]:
        if result.status not in (0, -signal.SIGKILL):
            return [f"exit status {result.status}"]
        if mode.is_cut:
            self._ground.after_cut()
        before = None if mode.is_cut else invariants.seen(self._data)
        wrong = [] if mode.is_cut else self._gaps(before, result) + invariants.nginx_violations(self._data)
        if result.status != 0 and self._chance.random() < 0.8:
            self._crash_recoveries(mode)
        if self._start() != 0:
            return [*wrong, "the start fails"]
        wrong += self._violations()
        told = invariants.state(self._data)
        allowed = self.states[result.acknowledged : result.acknowledged + 2]
        if told not in allowed:
            lost = " what was acknowledged is lost:" if told in self.states[: result.acknowledged] else ""
            wrong.append(f"I7/I8{lost} after {result.acknowledged} steps it is neither old nor new: {told}")
        elif before is not None and self._is_news(before, result) and told != allowed[-1]:
            wrong.append("I12 what was seen before the start is taken back")
        if number % 4 == 0:
            wrong += self._once_more()
        return wrong

    def _is_news(self, seen: Any, result: Result) -> bool:
        """Did visitors see what the step under way was to bring?"""
        old, *new = self.seen[result.acknowledged : result.acknowledged + 2]
        return seen != old and new == [seen]

    def _gaps(self, seen: Any, result: Result) -> list[str]:
        """I11: between the crash and the start, visitors get what they got before, or what comes after."""
        if seen in self.seen[result.acknowledged : result.acknowledged + 2]:
            return []
        return [f"I11 before the start, visitors get neither old nor new: {seen}"]

    def _crash_recoveries(self, mode: Mode) -> None:
        """Up to three starts that are cut short as well."""
        for _ in range(self._chance.randint(1, 3)):
            number = self._chance.randint(1, 25)

            def start(report: Any, number: int = number) -> None:
                injector.arm(mode, number, self._ground.mount_point)
                self._start_up()
                os._exit(0)

            if self._in_child(start).status == 0:
                return
            self.recovery_crashes += 1
            if mode.is_cut:
                self._ground.after_cut()

    def _once_more(self) -> list[str]:
        """I10: a second start changes nothing. And everything works."""
        once = _listing(self._data)
        if self._start() != 0 or _listing(self._data) != once:
            return ["I10 a second start changes something"]
        told = self._in_child(lambda report: report({"wrong": self._scenes.goes_on(self._world)}))
        return told.told.get("wrong", ["the process died"]) + invariants.violations(self._data)

    def _start_up(self) -> None:
        """What a start does before the first worker."""
        services = build_services(self._scenes.config_on(self._ground.root))
        services.recover()
        services.reload()

    def _start(self) -> int:
        return self._in_child(lambda report: self._start_up()).status

    # --- Processes --------------------------------------------------------------------------

    def _in_child(self, action: Callable[[Callable[[dict[str, Any]], None]], None]) -> Result:
        """Do something in a process of its own, which reports by a pipe: "+" for each step, then JSON."""
        reading, self._pipe = os.pipe()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.close(reading)
                action(lambda told: _write_all(self._pipe, b"=" + json.dumps(told).encode()))
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)
        os.close(self._pipe)
        with open(reading, "rb") as pipe:
            steps, _, told = pipe.read().partition(b"=")
        _, status = os.waitpid(child, 0)
        return Result(len(steps), json.loads(told) if told else {}, os.waitstatus_to_exitcode(status))


def _is_refusal(text: str) -> bool:
    try:
        body = json.loads(text)
    except ValueError:
        return False
    return body.get("success") is False or "error" in body


def _listing(folder: Path) -> dict[str, Any]:
    """Every path but the locks', with what it is; a mtime for files alone."""
    found: dict[str, Any] = {}
    for path in folder.rglob("*"):
        if "locks" not in path.relative_to(folder).parts[:1]:
            status = path.lstat()
            found[str(path)] = (
                os.readlink(path) if path.is_symlink() else (status.st_mode, path.is_file() and status.st_size)
            )
    return found


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _must(action: Callable[[], None]) -> None:
    """In a process of its own: nothing stays open, nothing stays remembered."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            action()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0, "the scene cannot be set"


@contextmanager
def ground_for(disk: str) -> Iterator[Ground]:
    """A folder in memory, or a disk of its own (``ext4`` or ``xfs``) whose power can be cut."""
    memory = Path("/dev/shm")
    base = memory if memory.is_dir() and os.access(memory, os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="pages-lab-", dir=base))
    try:
        os.chdir(folder)
        if disk:
            from faults.disks import Disk

            with Disk(folder, disk) as ground:
                yield ground
        else:
            yield Folder(folder)
    finally:
        os.chdir("/")
        with suppress(OSError):
            shutil.rmtree(folder)


def numbers(last: int, wanted: int, seed: str) -> list[int]:
    """The points to try: all of them, or a sample."""
    if wanted <= 0 or wanted >= last:
        return list(range(1, last + 1))
    return sorted(random.Random(seed).sample(range(1, last + 1), wanted))


def run(scene: str, modes: list[str], wanted: int, at: int, disk: str, seed: str) -> dict[str, Any]:
    """Play one scene with these faults at these points."""
    from faults.scenes import LONG_SCENES, SCENES

    found: dict[str, Any] = {"scene": scene, "points": 0, "wrong": []}
    with ground_for(disk) as ground:
        lab = Lab(ground, *{**SCENES, **LONG_SCENES}[scene], seed=f"{seed} {scene}")
        for turn, name in enumerate(modes):
            mode = MODES[name]
            for number in [at] if at else numbers(lab.last_call(mode), wanted, f"{seed} {scene} {name} {turn}"):
                wrong = lab.point(mode, number)
                found["points"] += 1
                found["wrong"] += [f"{scene}, {name} at call {number}: {what}" for what in wrong]
        found["calls"], found["recovery_crashes"] = lab.calls, lab.recovery_crashes
    return found


def main() -> None:
    from faults.scenes import LINT_SCENES, LONG_SCENES, SCENES

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", nargs="?")
    parser.add_argument("--list", action="store_true", help="the scenes and the faults")
    parser.add_argument("--modes", default="kill")
    parser.add_argument("--wanted", type=int, default=0, help="how many points of each fault; 0 for all")
    parser.add_argument("--at", type=int, default=0, help="one call alone")
    parser.add_argument("--disk", default="", help="ext4 or xfs: on a disk of its own, for power0 and power1")
    parser.add_argument("--seed", default="")
    parser.add_argument("--trace", type=Path, help="play without faults and write every call into this file")
    options = parser.parse_args()
    if options.list or not options.scene:
        print("\n".join([*SCENES, *LONG_SCENES, "", ", ".join(MODES)]))
        return
    if options.trace:
        trace = options.trace.absolute()
        with ground_for("") as ground:
            Lab(ground, *{**SCENES, **LONG_SCENES, **LINT_SCENES}[options.scene]).trace(trace)
        return
    modes = options.modes.split(",")
    print(json.dumps(run(options.scene, modes, options.wanted, options.at, options.disk, options.seed), indent=1))


if __name__ == "__main__":
    if not injector.is_loaded():
        injector.restart_with_injector("faults.lab")
    main()
