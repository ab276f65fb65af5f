"""Bugs put into a copy of ``pages``, to see that the laboratory finds them.

A bug is a piece of source and what stands there instead. To try one of your own: copy ``pages`` into a folder, break
it, and run any test of tests/faults with PAGES_SOURCE naming that folder; or ``python -m faults.lab`` with PYTHONPATH
(see lab.py).
"""

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from faults import lint
from faults.runs import SOURCE, lab
from helpers import PROJECT

# ruff: noqa: E501


@dataclass(frozen=True)
class Bug:
    """``old`` becomes ``new`` in a module; found by a fault of ``modes`` in ``scene``, or by the lint if there are none.

    A ``scene`` may also be a test of test_promises.py.
    """

    name: str
    module: str
    old: str
    new: str
    scene: str
    modes: str = ""
    also: tuple[str, str] = ("", "")


_FOLDER = "files.fsync_folder"

# Each fsync and syncfs that there is, taken away.
SYNCS = [
    Bug("a file's content", "work.py", "files.fsync(descriptor)", "pass", "second deploy"),
    Bug("a moved file's name", "work.py", "files.fsync_folder(destination.parent)", "pass", "second deploy"),
    Bug(
        "a link's name",
        "work.py",
        "        files.fsync_folder(path.parent)\n\n    def intend",
        "\n    def intend",
        "warm checkout",
    ),
    Bug("a new folder's name", "files.py", "fsync_folder(folder.parent)", "pass", "create"),
    Bug("all of a deploy", "publish.py", "files.sync_file_system(new.archive)", "pass", "second deploy"),
    Bug("all that was unpacked", "versions.py", "files.sync_file_system(staging.tree)", "pass", "cold checkout"),
    Bug(
        "twins made later",
        "versions.py",
        "self._newest_twins(site))\n            files.sync_file_system(folder)",
        "self._newest_twins(site))",
        "deploy much text",
    ),
    Bug("what is in a version", "trees.py", "files.fsync_folder(folder)", "pass", "second deploy"),
    Bug("the note", "work.py", 'files.fsync_file(self.path / "note")', "pass", "create"),
    Bug("the intent", "work.py", 'files.fsync_file(self.path / "intent")', "pass", "delete"),
    Bug("the notes' names", "work.py", "files.fsync_folder(self.path)", "pass", "delete checkpoint"),
    Bug("the work folder's name", "work.py", "files.fsync_folder(self.path.parent)", "pass", "create"),
    Bug("a record's removal", "registry.py", "files.fsync_folder(record.parent)", "pass", "delete"),
    Bug("a domain's release", "registry.py", "files.fsync_folder(self._paths.domains)", "pass", "change domain"),
    Bug("a public link's removal", "public.py", "files.fsync_folder(self._paths.public)", "pass", "disable"),
    Bug("an archive's removal", "history.py", "files.fsync_folder(folder)", "pass", "delete checkpoint"),
    Bug("a site's removal", "settling.py", "files.fsync_folder(folder)", "pass", "delete beside another"),
    Bug(
        "a switch's entry",
        "due.py",
        "        files.fsync_folder(self._folder)  # Also",
        "        pass  # Also",
        "plan",
    ),
    Bug("a backup's content", "backups.py", "os.fsync(file.fileno())", "pass", "backup"),
    Bug(
        "a backup's name",
        "backups.py",
        "files.fsync_folder(folder)\n        finally",
        "pass\n        finally",
        "backup",
    ),
    Bug(
        "a backup folder's name",
        "backups.py",
        "files.make_folders(folder, 0o700)",
        "folder.mkdir(0o700, exist_ok=True)",
        "backup",
    ),
    Bug(
        "the folders of a first start",
        "recovery.py",
        "files.make_folders(paths.data / folder, 0o700 if folder in PRIVATE_FOLDERS else 0o777)",
        "(paths.data / folder).mkdir(exist_ok=True)",
        "first start",
    ),
    Bug(
        "the data folder's name",
        "services.py",
        "files.make_folders(self.paths.data)",
        "self.paths.data.mkdir(exist_ok=True)",
        "first start",
    ),
    Bug(
        "the intent before what it tells of",
        "publish.py",
        "        work.intend(checkpoint_id)\n        files.sync_file_system(new.archive)\n",
        "        files.sync_file_system(new.archive)\n        work.intend(checkpoint_id)\n",
        "second deploy",
    ),
]

_CURRENT = "        after = history.with_current(before, checkpoint_id, now, net)\n"
_NEWEST = "        after = history.with_checkpoint(before, checkpoint)\n"
_COMMIT = "        self._histories.write(work, after)\n"
_SWITCH = "        self._versions.switch(work, site, link)\n"
_STORE = "        self._histories.store(work, site, checkpoint_id, new.archive, manifest)\n"
_EARLY = "        self._histories.write(work, history.with_checkpoint(before, checkpoint))\n"
_READY, _ADD = "            self._settler.make_ready(work, site)\n", "            self._registry.add(work, site)\n"
_REMOVE = "            self._registry.remove(work, username, site_id)\n"
_CLEAR = "            self._settler.clear_away(work, username, site_id)\n"
_RECORD = "            work.move(record, self._paths.record(username, site_id))\n"
_RELEASE = "            for domain in old:\n                self._release(work, domain, username, site_id)\n"

_NOTED = "            self._due.add(site, at)\n"
_PLANNED = "            self._write(work, site, before, msgspec.structs.replace(before, plan=plan))\n"

# Two steps swapped, one forgotten, an error passed over.
LOGIC = [
    Bug(
        "switch before commit",
        "publish.py",
        _CURRENT + _COMMIT + _SWITCH,
        _CURRENT + _SWITCH + _COMMIT,
        "warm checkout",
        "kill",
    ),
    Bug(
        "deploy switches before it commits",
        "publish.py",
        _NEWEST + _COMMIT + _SWITCH,
        _NEWEST + _SWITCH + _COMMIT,
        "second deploy",
        "kill",
    ),
    Bug("metadata before the archive", "publish.py", _STORE, _EARLY + _STORE, "second deploy", "kill"),
    Bug(
        "archive goes before the commit",
        "publish.py",
        "            self._histories.write(work, history.without",
        "            self._settler.discard_version(work, site, checkpoint_id)\n            self._histories.write(work, history.without",
        "delete checkpoint",
        "kill",
    ),
    Bug("a site's files go before its record", "publish.py", _REMOVE + _CLEAR, _CLEAR + _REMOVE, "delete", "kill"),
    Bug("a record before its root", "publish.py", _READY + _ADD, _ADD + _READY, "create", "kill"),
    Bug(
        "a domain is freed before the record says so",
        "registry.py",
        _RECORD + _RELEASE,
        _RELEASE + _RECORD,
        "change domain",
        "kill",
    ),
    Bug(
        "nginx serves what the record does not allow",
        "registry.py",
        "                if domain not in shown:",
        "                if False:",
        "disable",
        "kill",
    ),
    Bug(
        "no intent",
        "work.py",
        '(self.path / "intent").write_text(what, encoding="utf-8")',
        "pass",
        "second deploy",
        "kill",
    ),
    Bug("no note", "work.py", "            if note:\n", "            if False:\n", "delete", "kill"),
    Bug(
        "nothing is finished at a start",
        "settling.py",
        "self._finish(work, username, site_id, abandoned.intent)",
        "pass",
        "delete",
        "kill",
    ),
    Bug(
        "a start undoes what was committed",
        "settling.py",
        "if is_checkpoint_id(intended) and intended not in {c.id for c in known.checkpoints}:",
        "if is_checkpoint_id(intended):",
        "second deploy",
        "kill",
    ),
    Bug(
        "a file is written in place",
        "work.py",
        "        self.move(self.prepare(data, mode), destination)\n",
        "        files.make_folders(destination.parent)\n        destination.write_bytes(data)\n",
        "warm checkout",
        "kill",
    ),
    Bug(
        "a link is replaced in two steps",
        "work.py",
        "            os.rename(link, path)\n",
        "            path.unlink(missing_ok=True)\n            os.rename(link, path)\n",
        "warm checkout",
        "kill",
    ),
    Bug(
        "a folder that waits for its site is cleared",
        "settling.py",
        "if not self._trees.has_own_root(username, site_id):",
        "if True:",
        "create over a folder",
        "kill",
    ),
    Bug(
        "an upload written in part is taken for whole",
        "web/requests.py",
        "        rest = memoryview(data)\n        while rest:",
        "        return super().write(data)\n        while rest:",
        "first deploy",
        "short",
    ),
    Bug(
        "a file written in part is taken for whole",
        "staging.py",
        "    while written < len(data):",
        "    while False:",
        "first deploy",
        "short",
    ),
    Bug(
        "a snapshot goes without what it cannot read",
        "roots.py",
        "            if error.errno in _OURS:\n",
        "            if False:\n",
        "snapshot",
        "emfile",
    ),
    Bug(
        "nothing is put right after an error",
        "settling.py",
        "            except OSError:\n                self._put_right(work, username, site_id)\n                raise\n",
        "            except OSError:\n                raise\n",
        "delete",
        "eio",
    ),
    Bug(
        "an fsync that failed is passed over",
        "work.py",
        "            files.fsync(descriptor)\n",
        "            with suppress(OSError):\n                files.fsync(descriptor)\n",
        "disable",
        "eio",
    ),
    Bug(
        "an error of the disk is no OSError any more",
        "files.py",
        "            raise NotSynced(code, os.strerror(code), str(path))",
        "            raise ValueError(code)",
        "second deploy",
        "eio",
    ),
    Bug(
        "a plan is written before the entry that finds it",
        "plans.py",
        _NOTED + _PLANNED,
        _PLANNED + _NOTED,
        "plan",
        "eio",
    ),
    Bug(
        "a deploy leaves the net of what it replaces",
        "history.py",
        "current=checkpoint.id, confirmation=None)",
        "current=checkpoint.id)",
        "deploy over a net",
        "kill",
    ),
    Bug(
        "nginx serves rules before it is told not to",
        "versions.py",
        "        if has_rules(str(tree)):\n",
        "        if False:\n",
        "deploy the first rules",
        "kill",
    ),
    Bug(
        "a deleted site keeps its aliases",
        "registry.py",
        "            files.fsync_folder(record.parent)\n            for domain in domains:\n",
        "            files.fsync_folder(record.parent)\n            for domain in domains[:1]:\n",
        "delete with aliases",
        "eio",
    ),
    Bug("files that others cannot read", "staging.py", "_CREATE, 0o644)", "_CREATE, 0o600)", "first deploy", "kill"),
]

# What no crash shows: found by a test of test_promises.py.
PROMISES = [
    Bug(
        "a copy is not compared",
        "completing.py",
        "        if wrong := {self._wanted.files[path] for path in self._different()}:\n",
        "        if wrong := set[str]():\n",
        "test_what_was_changed_by_hand_is_not_published_for_what_it_was",
    ),
    Bug(
        "a link is followed",
        "stock.py",
        '    found = file_at(place.tree, place.path.split("/"))\n',
        '    found = file_at(os.path.realpath(f"{place.tree}/{place.path}/.."), [place.path.rpartition("/")[2]])\n',
        "test_no_link_is_followed_to_what_a_deploy_need_not_send",
    ),
    Bug(
        "a planned switch is not forgotten",
        "plans.py",
        "forgotten = msgspec.structs.replace(known, plan=None)",
        "forgotten = known",
        "test_a_planned_switch_happens_once_whoever_looks",
    ),
    Bug(
        "a busy moment costs a switch",
        "plans.py",
        "        except SiteBusy:\n            raise  #",
        "        except ZeroDivisionError:\n            raise  #",
        "test_a_planned_switch_waits_for_a_busy_registry",
    ),
    Bug(
        "a clock waits for one site's lock",
        "plans.py",
        "self._settler.locked_site(site, timeout=0)",
        "self._settler.locked_site(site)",
        "test_a_site_that_is_being_changed_holds_up_no_other_ones_switch",
    ),
    Bug(
        "entries pile up",
        "due.py",
        "        for entry in {_entry_at(site, time) for time in times_of(before)} - needed:\n",
        "        for entry in needed - needed:\n",
        "test_a_tenant_who_plans_again_and_again_has_one_entry",
    ),
    Bug(
        "any signature shows a preview",
        "previews.py",
        "if not known.preview_key or not is_right:",
        "if not known.preview_key:",
        "test_a_preview_is_shown_to_whom_it_was_given_alone",
    ),
    Bug(
        "a link is good for ever",
        "previews.py",
        "        if int(end) <= now.timestamp():\n",
        "        if False:\n",
        "test_a_preview_is_shown_to_whom_it_was_given_alone",
    ),
    Bug(
        "pruning takes what is previewed",
        "retention.py",
        "*previewed(known, time), ",
        "",
        "test_pruning_spares_what_was_given_to_be_looked_at_meanwhile",
    ),
    Bug(
        "pruning does not look again",
        "retention.py",
        ", is_needed=is_needed)",
        ")",
        "test_pruning_spares_what_was_given_to_be_looked_at_meanwhile",
    ),
    Bug(
        "an alias is claimed unseen",
        "registry.py",
        "        self._check_domains(site, new, is_reserved)\n",
        "",
        "test_an_alias_that_another_site_has_stays_its_own",
    ),
    Bug(
        "a repair forgets what was promised",
        "verify/metadata.py",
        "        base = before or History(",
        "        base = History(",
        "test_a_repair_of_the_order_keeps_every_promise",
    ),
]

# What may be left out alone, and why no rule and no fault can tell.
REDUNDANT = {
    r"fsync data/(sites-checkpoints|trees)/[^/]+$": "a second new name in the same folder is synced after it",
    r"fsync data/(sites|registry)/[^/]+$": "the same folder is synced once more before the answer",
    r"fsync data/sites-checkpoints/[^/]+/[^/]+$": "a second new name in the same folder, or the commit, is synced after it",
    r"fsync data/(domains|public)$": "the same folder is synced once more before the answer; a start puts links right",
    r"fsync data$": "all folders of a first start are made in it: the last one's sync is for all",
    r"fsync data/trees/.*": "an empty folder is thrown away with the next deploy, or made again",
    r"fsync data/work(/.*)?$": "a note of a site of which nothing is on disk yet, at a first start",
}


def patched(bug: Bug, folder: Path, source: Path = SOURCE) -> Path:
    """A copy of ``pages`` with the bug, in a folder for PYTHONPATH."""
    shutil.copytree(source / "pages", folder / "pages", ignore=shutil.ignore_patterns("__pycache__"))
    module = folder / "pages" / bug.module
    text = module.read_text()
    for old, new in ((bug.old, bug.new), bug.also):
        if old:
            assert text.count(old) == 1, f"{bug.name}: {bug.module} has {text.count(old)} times {old!r}"
            text = text.replace(old, new)
    compile(text, bug.module, "exec")
    module.write_text(text)
    return folder


def found(bug: Bug) -> list[str]:
    """What the laboratory says of the bug; empty when it passes unseen."""
    with tempfile.TemporaryDirectory() as folder:
        source = patched(bug, Path(folder))
        if bug.scene.startswith("test_"):
            return _failures(bug.scene, source)
        if not bug.modes:
            return lint.findings(trace_of(bug.scene, source))
        try:
            return list(lab(bug.scene, "--modes", bug.modes, source=source)["wrong"])
        except AssertionError as error:  # Not even the scene can be set.
            return [str(error)]


def _failures(test: str, source: Path) -> list[str]:
    """What a test of test_promises.py says of a patched copy; an error that is no failure is none."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-o", f"pythonpath=tests {source}"]
    done = subprocess.run(
        [*command, f"tests/faults/test_promises.py::{test}"], capture_output=True, text=True, check=False, cwd=PROJECT
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return [line for line in done.stdout.splitlines() if line.startswith("FAILED ")]


def trace_of(scene: str, source: Path = SOURCE) -> list[lint.Event]:
    """The calls of a scene played without faults."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "trace"
        lab(scene, "--trace", str(log), source=source)
        trace = log.read_text()
    return lint.events_of(trace, lint.root_of(trace))
