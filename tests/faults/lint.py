"""Durability, told from a trace of system calls: what could be lost though it was relied on.

The crash matrix shows that old or new is left where the disk is as it was; a power cut shows it on one file system and
one machine. This shows it for every file system that keeps to POSIX: nothing is on disk before its fsync (a file's
content), the fsync of its folder (a name), or a syncfs (all there is). The rules:

R1   What is renamed or linked to a durable place, or to where it is served from, is clean, with all that is in it.
R2   When an answer is given, every durable folder and file that was changed is clean.
R3   When a commit is renamed into place (``metadata.json``, a registry record) all durable things of that site are
     clean, and the names in due/, as it may promise a switch at a time; when the root of a site is switched, the tree
     it leads to is, and its metadata.

Durable: registry/, domains/, public/, sites/, sites-checkpoints/, lost/, due/ (names alone), backups/, the names in
trees/ that lead to a live tree, and the folders that hold all these. Derived, so lost without harm: locks/, cache/,
ballast/, failed-logins, and what is below a tree (a deploy's syncfs covers it; R1 and R3 hold it to be clean when it
goes live). Temporary: work/, but for its notes. That a tree thrown away, an entry of due/ that was done, or the first
name of a backup, is there again does no harm.

R4   Before a durable change that a start could not tell from anything else (a site created or deleted, a checkpoint
     deleted or stored) the notes of its work folder are on disk, by name and content.
R5   What is thrown away of a site was first taken out of its commit: with its checkpoints and root, the record; with
     an archive, the metadata; and that is on disk.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

_DURABLE = re.compile(
    r"(?:|data|backups(?:/backup-.*)?|data/(?:registry|domains|public|sites|sites-checkpoints|lost|due)(?:/.*)?)"
)
_TREES = re.compile(r"data/trees(?:/[^/]+){0,2}")  # The folders whose names lead to a version.
_SERVED = re.compile(r"data/(?:trees|cache/encodings)/[^/]+/[^/]+/[^/]+")
# Counts that may be forgotten, nothing at all, and when a tree was live for the last time.
_LOSABLE = r"data/failed-logins|data/ballast(?:/.*)?|data/trees/[^/]+/[^/]+/[^/]+/\.replaced"
_HARMLESS = re.compile(_LOSABLE)
_DROPPED = re.compile(rf"data/trees/[^/]+/[^/]+/[^/]+|data/due/[^/]+|backups/\.unfinished-.*|{_LOSABLE}")
_NAME_ALONE = re.compile(r"data/due/[^/]+")  # Empty files.
_NOTE = re.compile(r"data/work/[^/]+(?:/note|/intent)?")
_ARCHIVE = re.compile(r"data/sites-checkpoints/([^/]+/[^/]+)/checkpoints/[^/]+")
_ALL_OF_A_SITE = re.compile(r"data/(?:sites-checkpoints|sites)/([^/]+)/[^/]+")
_METADATA = re.compile(r"data/sites-checkpoints/([^/]+/[^/]+)/metadata\.json")
_RECORD = re.compile(r"data/registry/([^/]+/[^/]+)\.json")
_ROOT = re.compile(r"data/sites/([^/]+/[^/]+)")
_NOTED = re.compile(
    r"data/(?:registry/[^/]+/[^/]+\.json|sites-checkpoints/[^/]+/[^/]+/(?:checkpoints|manifests)/[^/]+)"
)


@dataclass(frozen=True)
class Event:
    """One call of a trace; paths are relative to the folder that was watched."""

    number: int
    process: str
    call: str
    is_new: bool
    inode: int
    folder: int
    second_folder: int
    path: str
    second: str

    def __str__(self) -> str:
        return f"{self.number} {self.call} {self.path} {self.second}".rstrip()


def events_of(trace: str, root: Path) -> list[Event]:
    """The calls of a log that inject.c wrote."""
    events = []
    for number, line in enumerate(trace.splitlines(), 1):
        process, call, is_new, inode, folder, second_folder, path, second = line.split("\t")
        paths = [text.removeprefix(str(root)).lstrip("/") for text in (path, second)]
        numbers = int(inode), int(folder), int(second_folder)
        events.append(Event(number, process, call, is_new == "1", *numbers, *paths))
    return events


def root_of(trace: str) -> Path:
    """The folder that a trace is of: where ``data`` is."""
    found = re.search(r"\tstarted\t.*?\t(/[^\t]*)\t", trace)
    assert found, "the trace does not say what it is of"
    return Path(found[1])


@dataclass
class Disk:
    """What would survive a power cut at this moment, by inode; and where everything is."""

    where: dict[str, int] = field(default_factory=dict)  # Every path that the trace has told of.
    dirty: dict[int, str] = field(default_factory=dict)  # Inode: what was done to it.
    unnamed: dict[str, int] = field(default_factory=dict)  # Notes whose names are not on disk: in which folder.
    findings: list[str] = field(default_factory=list)

    def paths_of(self, inode: int) -> list[str]:
        return [path for path, each in self.where.items() if each == inode]

    def dirty_below(self, path: str) -> list[str]:
        """What is dirty of a path and all that is below it."""
        below = {
            inode
            for each, inode in self.where.items()
            if (each == path or each.startswith(path + "/")) and not _HARMLESS.fullmatch(each)
        }
        return [self.dirty[inode] for inode in below & self.dirty.keys()]

    def find(self, rule: str, event: Event, dirty: Iterable[str]) -> None:
        self.findings += [f"{rule} at {event}: not on disk: {what}" for what in dirty]

    # --- Calls ------------------------------------------------------------------------------

    def take(self, event: Event) -> None:
        """Follow one call, and judge it."""
        self._learn(event)
        if event.call in ("fsync", "fdatasync"):
            self.dirty.pop(event.inode, None)
            self.unnamed = {path: folder for path, folder in self.unnamed.items() if folder != event.inode}
        elif event.call == "syncfs":
            self.dirty.clear()
            self.unnamed.clear()
        elif event.call in ("write", "truncate") or (event.is_new and not _NAME_ALONE.fullmatch(event.path)):
            self.dirty[event.inode] = str(event)
        if _HARMLESS.fullmatch(event.path):
            return
        if event.is_new or event.call in ("mkdir", "symlink"):
            self.dirty[event.folder] = str(event)
            if _NOTE.fullmatch(event.path):
                self.unnamed[event.path] = event.folder
        elif event.call in ("unlink", "rmdir"):
            self._forget(event)
        elif event.call in ("rename", "exchange", "link"):
            self._judge_move(event)
            self._move(event)
        elif event.call == "answer":
            self.find("R2", event, self._dirty_and_durable())

    def _learn(self, event: Event) -> None:
        if event.path and event.call not in ("rename", "exchange", "link", "answer", "started"):
            self.where[event.path] = event.inode
        for path, folder in ((event.path, event.folder), (event.second, event.second_folder)):
            if path and folder:
                self.where[path.rpartition("/")[0]] = folder

    def _forget(self, event: Event) -> None:
        self.where.pop(event.path, None)
        if not _DROPPED.fullmatch(event.path):
            self.dirty[event.folder] = str(event)
        if not self.paths_of(event.inode):
            self.dirty.pop(event.inode, None)

    def _move(self, event: Event) -> None:
        if event.call == "exchange":
            first, second = self._taken(event.path), self._taken(event.second)
            self._put(first, event.path, event.second)
            self._put(second, event.second, event.path)
        elif event.call == "link":
            self.where[event.second] = self.where[event.path] = event.inode
        else:
            self._taken(event.second)
            self._put(self._taken(event.path), event.path, event.second)
            self.where[event.second] = event.inode
            if not _DROPPED.fullmatch(event.path):
                self.dirty[event.folder] = str(event)
        self.dirty[event.second_folder] = str(event)
        if event.call == "exchange":
            self.dirty[event.folder] = str(event)

    def _taken(self, path: str) -> dict[str, int]:
        found = {each: i for each, i in self.where.items() if each == path or each.startswith(path + "/")}
        for each in found:
            del self.where[each]
        return found

    def _put(self, paths: dict[str, int], old: str, new: str) -> None:
        self.where |= {new + path.removeprefix(old): inode for path, inode in paths.items()}

    # --- Rules ------------------------------------------------------------------------------

    def _judge_move(self, event: Event) -> None:
        target = event.second
        if _is_durable(target) or _SERVED.fullmatch(target):
            self.find("R1", event, self.dirty_below(event.path))
        if match := _METADATA.fullmatch(target):
            due = self.where.get("data/due", 0)
            self.find("R3", event, [self.dirty[due]] if due in self.dirty else [])
            self.find("R3", event, self._dirty_of(match[1], ("sites-checkpoints",)))
        if match := _RECORD.fullmatch(target):
            self.find("R3", event, self._dirty_of(match[1], ("sites-checkpoints", "sites")))
        if match := _ROOT.fullmatch(target):
            self.find(
                "R3",
                event,
                [*self._dirty_of(match[1], ("sites-checkpoints",)), *self.dirty_below(f"data/trees/{match[1]}")],
            )
        if target.startswith("data/work/"):
            self._judge_removal(event)
        if _NOTED.fullmatch(target) or _NOTED.fullmatch(event.path):
            self._judge_notes(event)

    def _dirty_of(self, site: str, folders: tuple[str, ...]) -> list[str]:
        """What is dirty of a site's durable things, and of the folders that lead to them."""
        found = []
        for folder in folders:
            found += self.dirty_below(f"data/{folder}/{site}")
            for above in (f"data/{folder}/{site.partition('/')[0]}", f"data/{folder}", "data"):
                inode = self.where.get(above, 0)
                found += [self.dirty[inode]] if inode in self.dirty else []
        return found

    def _judge_notes(self, event: Event) -> None:
        """R4, for the work folder that this call moves to or from, and for the folder of all of them."""
        work = [path for path in (event.path, event.second) if path.startswith("data/work/")]
        for folder in {"/".join(path.split("/")[:3]) for path in work}:
            if f"{folder}/note" in self.where:
                for path in (folder, f"{folder}/note", f"{folder}/intent"):
                    inode = self.where.get(path, 0)
                    self.find("R4", event, [self.dirty[inode]] if inode in self.dirty and path != folder else [])
                    self.find("R4", event, [f"the name {path}"] if path in self.unnamed else [])

    def _judge_removal(self, event: Event) -> None:
        """R5."""
        if match := _ARCHIVE.fullmatch(event.path):
            commit = f"data/sites-checkpoints/{match[1]}"
        elif match := _ALL_OF_A_SITE.fullmatch(event.path):
            commit = f"data/registry/{match[1]}"
        else:
            return
        inode = self.where.get(commit, 0)
        self.find("R5", event, [self.dirty[inode]] if inode in self.dirty else [])

    def _dirty_and_durable(self) -> list[str]:
        return [what for inode, what in self.dirty.items() if any(map(_is_durable, self.paths_of(inode)))]


def _is_durable(path: str) -> bool:
    return bool(_DURABLE.fullmatch(path) or _TREES.fullmatch(path))


def findings(events: Iterable[Event], *, without: int = 0) -> list[str]:
    """What breaks a rule in a trace; ``without`` leaves one call out, to see that it is needed."""
    disk = Disk()
    for event in events:
        if event.number != without:
            disk.take(event)
    return disk.findings
