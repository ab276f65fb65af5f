"""What has to be so after a crash and a start, whatever happened: the checker of a data folder.

Nothing here imports ``pages``: what it knows is the layout on disk, so that it judges patched copies as well.
``violations`` gives I1 to I6, I9 and I13 to I15; by ``seen`` and ``state`` lab.py judges the others:

I7   The state is that after the last acknowledged operation, or after the one that was under way.
I8   Nothing that was acknowledged is lost, also when the power was cut.
I10  A second start changes nothing; a start may be cut short anywhere.
I11  Before the start already, a visitor gets one version of a site, old or new, whole, and nginx's link leads
     nowhere that the record does not allow.
I12  A version that a visitor has seen is not taken back by the start.
"""

import gzip
import hashlib
import json
import os
import re
import stat
import tarfile
from datetime import datetime
from pathlib import Path
from typing import Any

NOT_SERVED = "what is served is not what the current archive holds"
_CHECKPOINT = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{8}")
# What nginx knows how to serve; of a record that does not say so, too.
_PLAIN = {
    "enabled": True,
    "index": "index.html",
    "clean_urls": False,
    "trailing_slash": "auto",
    "spa": False,
    "not_found": "404.html",
    "cache": {"html": 0, "assets": 0, "hashed": 31_536_000},
}
_RECORD_FIELDS = ["id", "username", "domain", "index", "enabled", "created_at", "updated_at"]


def violations(data: Path) -> list[str]:
    """All that is wrong with a data folder that nobody is changing; empty when nothing is."""
    wrong = _records_violations(data)
    if wrong:
        return wrong
    sites = sorted(_records(data))
    wrong += _litter(data, sites)
    for site in sites:
        if (data / "sites" / site).is_dir() and (data / "sites-checkpoints" / site / "metadata.json").is_file():
            wrong += [f"{site}: {what}" for what in _site_violations(data, site)]
        else:
            wrong.append(f"{site}: no root or no metadata")
    return wrong + _backup_violations(data.parent / "backups")


def _records(data: Path) -> dict[str, Any]:
    """Every record by ``username/id``."""
    paths = sorted(path for path in (data / "registry").glob("*/*") if path.is_file())
    return {str(path.relative_to(data / "registry").with_suffix("")): json.loads(path.read_bytes()) for path in paths}


def _records_violations(data: Path) -> list[str]:
    """I1: every record parses and names itself; a domain has one owner, and a link that leads to its record.

    nginx's links are those of the sites it may serve, and no others.
    """
    try:
        records = _records(data)
    except ValueError as error:
        return [f"I1 a record does not parse: {error}"]
    wrong = []
    for site, record in records.items():
        if list(record)[:7] != _RECORD_FIELDS or f"{record['username']}/{record['id']}" != site:
            wrong.append(f"I1 the record of {site} says {record}")
    domains = [domain for record in records.values() for domain in _domains(record)]
    if len(set(domains)) != len(domains):
        wrong.append(f"I1 a domain has two owners: {domains}")
    expected = {domain: f"../registry/{site}.json" for site, record in records.items() for domain in _domains(record)}
    if links_in(data / "domains") != expected:
        wrong.append(f"I1 the domains' links are {links_in(data / 'domains')}, not {expected}")
    public = {
        domain: f"../sites/{site}" for site, record in records.items() for domain in _public_domains(data, site, record)
    }
    if links_in(data / "public") != public:
        wrong.append(f"I1 nginx's links are {links_in(data / 'public')}, not {public}")
    return wrong


def _domains(record: dict[str, Any]) -> list[str]:
    return [record["domain"], *record.get("aliases", [])]


def _public_domains(data: Path, site: str, record: dict[str, Any]) -> list[str]:
    """What nginx may serve of a site by itself."""
    root = data / "sites" / site
    if any(record.get(name, plain) != plain for name, plain in _PLAIN.items()) or has_rules(root):
        return []
    served = _domains(record) if record.get("alias_mode") == "serve" else [record["domain"]]
    return [domain for domain in served if not domain.startswith("*")]


def has_rules(root: Path) -> bool:
    return any((root / name).exists() for name in ("_redirects", "_headers"))


def links_in(folder: Path) -> dict[str, str]:
    """Every name in a folder and where it leads."""
    if not folder.is_dir():
        return {}
    return {path.name: os.readlink(path) if path.is_symlink() else "no link" for path in folder.iterdir()}


def _litter(data: Path, sites: list[str]) -> list[str]:
    """I9: nothing of a site that is none, nothing temporary: work/ is empty, no tenant has an empty folder."""
    wrong = []
    if list((data / "work").iterdir()):
        wrong.append(f"I9 the work folder is not empty: {below(data / 'work')}")
    for folder in ("sites", "sites-checkpoints"):
        found = sorted(str(path.relative_to(data / folder)) for path in (data / folder).glob("*/*"))
        if found != sites:
            wrong.append(f"I9 {folder}/ has {found}, the registry {sites}")
    for folder in ("sites", "sites-checkpoints", "registry", "trees", "locks/sites"):
        wrong += [f"I9 {path} is empty" for path in (data / folder).glob("*") if path.is_dir() and not os.listdir(path)]
    for folder in ("trees", "cache/encodings"):
        found = sorted(str(path.relative_to(data / folder)) for path in (data / folder).glob("*/*"))
        wrong += [f"I9 {folder}/{name} is of no site" for name in found if name not in sites]
    if (data / "lost").exists():
        wrong.append(f"I9 something was set aside: {below(data / 'lost')}")
    return wrong


def below(folder: Path) -> list[str]:
    """Every path below a folder, sorted."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def orphans(data: Path) -> list[str]:
    """I9: unpacked trees, manifests and encodings of no checkpoint that there is."""
    known = {"initial"}
    for metadata in (data / "sites-checkpoints").glob("*/*/metadata.json"):
        known |= {checkpoint["id"] for checkpoint in json.loads(metadata.read_bytes())["checkpoints"]}
    found = [*(data / "trees").glob("*/*/*"), *(data / "cache" / "encodings").glob("*/*/*")]
    found += (data / "sites-checkpoints").glob("*/*/manifests/*")
    return [str(path.relative_to(data)) for path in found if path.name.partition(".")[0] not in known]


def _site_violations(data: Path, site: str) -> list[str]:
    """I2: the metadata parses and names the site; I3: all that is listed is there and whole, and no more;
    I4: what is current is listed; I14: no record holds a temporary path or a secret."""
    wrong = []
    history = data / "sites-checkpoints" / site
    try:
        metadata = json.loads((history / "metadata.json").read_bytes())
    except ValueError as error:
        return [f"I2 the metadata does not parse: {error}"]
    if f"{metadata['username']}/{metadata['site_id']}" != site:
        wrong.append("I2 the metadata is another site's")
    ids = [checkpoint["id"] for checkpoint in metadata["checkpoints"]]
    if ids != sorted(set(ids), reverse=True):
        wrong.append(f"I3 the checkpoints are not newest first: {ids}")
    stored = sorted(path.name.removesuffix(".tar.gz") for path in (history / "checkpoints").glob("*"))
    if stored != sorted(ids):
        wrong.append(f"I3 the archives on disk are {stored}, the metadata has {ids}")
    for checkpoint in metadata["checkpoints"]:
        wrong += _checkpoint_violations(history, checkpoint)
    current = metadata["current"]
    if current not in [*ids, None]:
        wrong.append(f"I4 current is {current}, which is no checkpoint")
    wrong += _promises_violations(data, site, metadata, ids)
    text = (history / "metadata.json").read_text() + (data / "registry" / f"{site}.json").read_text()
    if str(data) in text or "/work/" in text or '"admin' in text:
        wrong.append("I14 a record tells more than it should")
    return wrong + _root_violations(data, site, current)


def _promises_violations(data: Path, site: str, metadata: dict[str, Any], ids: list[str]) -> list[str]:
    """I15: what was promised of checkpoints can be kept. A switch to come is to be found by its time in ``due/``,
    and it leads to a checkpoint; what is pinned or previewed is there. (An entry of ``due/`` too many is harmless,
    and a key may stand for a checkpoint that was deleted.)
    """
    plan, waiting = metadata.get("plan"), metadata.get("confirmation")
    times = ([plan["at"]] if plan else []) + ([waiting["until"]] if waiting else [])
    needed = {f"{int(datetime.fromisoformat(time).timestamp()) + 1:011d},{site.replace('/', ',')}" for time in times}
    wrong = [f"I15 nothing in due/ tells of {name}" for name in needed - set(os.listdir(data / "due"))]
    named = {*metadata.get("pinned", []), *(preview["checkpoint"] for preview in metadata.get("previews", []))}
    named |= ({plan["checkpoint"]} if plan else set()) | ({waiting["back_to"]} if waiting else set())
    wrong += [f"I15 {found} is promised, and is no checkpoint" for found in sorted(named - set(ids))]
    if waiting and waiting["checkpoint"] != metadata["current"]:
        wrong.append("I15 what waits to be confirmed is not what is served")
    if metadata.get("previews") and not metadata.get("preview_key"):
        wrong.append("I15 there are previews, and no key")
    return wrong


def _checkpoint_violations(history: Path, checkpoint: dict[str, Any]) -> list[str]:
    """I3: the archive has its size, unpacks, and holds what the id says; the manifest agrees."""
    archive = history / "checkpoints" / f"{checkpoint['id']}.tar.gz"
    if not archive.exists():
        return []  # Told already.
    wrong = []
    if archive.stat().st_size != checkpoint["file_size"]:
        wrong.append(f"I3 {archive.name} has another size than the metadata says")
    try:
        digest = _digest(content_of(archive))
    except (OSError, EOFError, tarfile.TarError) as error:
        return [*wrong, f"I3 {archive.name} is damaged: {error}"]
    if not _CHECKPOINT.fullmatch(checkpoint["id"]) or not digest.startswith(checkpoint["id"][-8:]):
        wrong.append(f"I3 {archive.name} holds something else than its id says")
    try:
        manifest = json.loads((history / "manifests" / f"{checkpoint['id']}.json").read_bytes())
        if manifest["digest"] != digest:
            wrong.append(f"I3 the manifest of {checkpoint['id']} is of something else")
    except (OSError, ValueError) as error:
        wrong.append(f"I3 the manifest of {checkpoint['id']}: {error}")
    return wrong


def _digest(content: dict[str, bytes | None]) -> str:
    """The digest of a site's content: sorted paths and what each holds; a folder ends in a slash, holds nothing."""
    lines = [
        f"{path}/\0".encode() if data is None else path.encode() + b"\0" + hashlib.sha256(data).digest()
        for path, data in content.items()
    ]
    return hashlib.sha256(b"".join(sorted(lines))).hexdigest()


def content_of(archive: Path) -> dict[str, bytes | None]:
    """The files of a stored archive, and its folders (``None``); fails when it is damaged."""
    found: dict[str, bytes | None] = {}
    with tarfile.open(archive) as opened:
        for member in opened:
            file = opened.extractfile(member)
            found[member.name.removeprefix("./")] = None if file is None else file.read()
    while True:  # Folders that no entry names are there as well.
        missing = {path.rpartition("/")[0] for path in found} - set(found) - {""}
        if not missing:
            return found
        found |= dict.fromkeys(missing)


def _root_violations(data: Path, site: str, current: str | None) -> list[str]:
    """I5 and I6: the root is what ``current`` says, byte for byte; I13: with the right modes and no links in it."""
    root = data / "sites" / site
    tree = root.resolve()
    if not root.is_symlink() or tree.parent.parent != (data / "trees" / site).resolve():
        return []  # An operator's own.
    wrong = []
    if tree.parent.name.partition(".")[0] != (current or "initial"):
        wrong.append(f"I5 the root is {tree.parent.name}, current is {current}")
    archive = data / "sites-checkpoints" / site / "checkpoints" / f"{current}.tar.gz"
    try:
        if current is not None and _with_folders(tree) != content_of(archive):
            wrong.append(f"I6 {NOT_SERVED}")
    except (OSError, EOFError, tarfile.TarError):
        wrong.append(f"I6 {archive.name} cannot be read")
    for path in [tree, *tree.rglob("*")]:
        mode = path.lstat().st_mode
        if (stat.S_IFMT(mode), stat.S_IMODE(mode)) not in ((stat.S_IFREG, 0o644), (stat.S_IFDIR, 0o755)):
            wrong.append(f"I13 {path.relative_to(tree)} has mode {oct(mode)}")
    return wrong + _twin_violations(tree)


def _with_folders(tree: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(tree)): None if path.is_dir() else path.read_bytes() for path in tree.rglob("*")}


def _twin_violations(tree: Path) -> list[str]:
    """I6: a compressed twin that has its file's time unpacks to the file."""
    wrong = []
    encodings = (tree.parent / ".encodings").resolve()
    for twin in encodings.rglob("*.gz") if encodings.is_dir() else ():
        source = tree / str(twin.relative_to(encodings))[:-3]
        if source.is_file() and source.stat().st_mtime_ns == twin.stat().st_mtime_ns:
            try:
                if gzip.decompress(twin.read_bytes()) != source.read_bytes():
                    wrong.append(f"I6 the twin of {source.name} is of something else")
            except (OSError, EOFError):
                wrong.append(f"I6 the twin of {source.name} is damaged")
    return wrong


def _backup_violations(folder: Path) -> list[str]:
    """I3: a backup that has its name is whole; I13: and nobody else's to read."""
    wrong = []
    for backup in folder.glob("backup-*"):
        try:
            json.loads(backup.read_bytes())
        except ValueError:
            wrong.append(f"I3 {backup.name} is not whole")
        if stat.S_IMODE(backup.stat().st_mode) != 0o600:
            wrong.append(f"I13 {backup.name} can be read by others")
    return wrong


# --- What old and new are told apart by ------------------------------------------------------


def seen(data: Path) -> dict[str, dict[str, str] | None]:
    """What visitors get, by domain: every file of the site; ``None`` where one is served whose root is missing."""
    found: dict[str, dict[str, str] | None] = {}
    for domain, target in links_in(data / "domains").items():
        try:
            record = json.loads((data / "domains" / target).read_bytes())
        except OSError:
            continue
        if domain in _domains(record) and record["enabled"]:
            root = data / "sites" / record["username"] / record["id"]
            found[domain] = _texts(root.resolve()) if root.is_dir() else None
    return found


def nginx_violations(data: Path) -> list[str]:
    """I11: nginx's links before a start lead to nothing but what a record allows at this moment."""
    wrong = []
    for domain, target in links_in(data / "public").items():
        site = target.removeprefix("../sites/")
        try:
            record = json.loads((data / "registry" / f"{site}.json").read_bytes())
        except OSError:
            wrong.append(f"I11 nginx serves {domain} from {target}, which no record names")
            continue
        if domain not in _public_domains(data, site, record):
            wrong.append(f"I11 nginx serves {domain} from {target}, against its record")
    return wrong


def state(data: Path) -> str:
    """What the outside sees, as one text: records, metadata, what is served, how many backups.

    Without times, and with ids by their content alone: the same operations done again give the same text.
    """
    told: dict[str, Any] = {"backups": len(list((data.parent / "backups").glob("backup-*")))}
    told["roots by hand"] = [_texts(path) for path in (data / "sites").glob("*/*") if not path.is_symlink()]
    for site, record in _records(data).items():
        path = data / "sites-checkpoints" / site / "metadata.json"
        metadata = json.loads(path.read_bytes()) if path.exists() else {"current": None, "checkpoints": []}
        told[site] = {
            "record": {name: record[name] for name in sorted(set(record) - {"created_at", "updated_at"})},
            "to come": _to_come(metadata),
            "current": (metadata["current"] or "")[-8:],
            "checkpoints": [[c["id"][-8:], c["source"], c["description"][:3]] for c in metadata["checkpoints"]],
            "served": _texts((data / "sites" / site).resolve()),
        }
    return json.dumps(told, sort_keys=True)


def _to_come(metadata: dict[str, Any]) -> dict[str, Any]:
    """What metadata says besides the seed's fields: pins, previews, keys, and switches to come."""
    plan, waiting = metadata.get("plan"), metadata.get("confirmation")
    return {
        "pinned": [found[-8:] for found in metadata.get("pinned", [])],
        "previews": [preview["checkpoint"][-8:] for preview in metadata.get("previews", [])],
        "has key": bool(metadata.get("preview_key")),
        "uploads": [[upload["key"], upload["checkpoint"][-8:]] for upload in metadata.get("uploads", [])],
        "plan": plan and [plan["checkpoint"][-8:], plan.get("confirm_within", 0)],
        "confirmation": waiting and [waiting["checkpoint"][-8:], waiting["back_to"][-8:]],
    }


def _texts(tree: Path) -> dict[str, str]:
    return {
        str(path.relative_to(tree)): f"{hashlib.sha256(path.read_bytes()).hexdigest()[:16]} {path.stat().st_size}"
        for path in sorted(tree.rglob("*"))
        if path.is_file()
    }
