"""Records, and the links that are made of them: one owner for each domain, and what nginx may serve."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from pages import files
from pages.errors import SiteBroken, SiteNotFound
from pages.model import Site, is_name, timestamp
from pages.site_fields import site_from_record
from pages.verify.content import require_readable
from pages.verify.findings import Finding
from pages.verify.parts import Ground, Part
from pages.work import Work


class LinksPart(Part):
    """All records, or one site's, with their links; looked at again under the registry's lock."""

    lock = "registry"

    def __init__(self, ground: Ground, only: tuple[str, str] | None = None) -> None:
        super().__init__(ground)
        self._only = only
        self._public = ground.registry.public_links()

    def look(self) -> Iterable[Finding]:
        self._strange: list[tuple[Path, str]] = []
        self._broken: list[tuple[str, str]] = []
        self._second: set[tuple[str, str]] = set()
        names = [self._only] if self._only else self.ground.registry.names()
        for username, site_id in names:
            yield from self._look_at_record(username, site_id)
        if self._only is None:
            yield from self._foreign_records()
            yield from self._look_at_domains()
            yield from self._look_at_public()

    def _look_at_record(self, username: str, site_id: str) -> Iterator[Finding]:
        name, record = f"{username}/{site_id}", self.ground.paths.record(username, site_id)
        self.ground.checked.files += 1
        try:
            site = self.ground.registry.get(username, site_id)
        except SiteBroken as error:
            self._broken.append((username, site_id))
            yield Finding(name, self.ground.relative(record), "record-damaged", error.reason)
            return
        except SiteNotFound:
            if os.path.lexists(record):  # A link that leads nowhere.
                self._broken.append((username, site_id))
                yield Finding(name, self.ground.relative(record), "record-damaged", "no such file")
            return
        for domain in site.domains:
            yield from self._look_at_domain(site, domain)

    def _look_at_domain(self, site: Site, domain: str) -> Iterator[Finding]:
        names = (site.username, site.id)
        name, record, link = "/".join(names), self.ground.paths.record(*names), self.ground.paths.domain(domain)
        try:
            owner = self.ground.registry.holder_of(domain)
        except (SiteNotFound, SiteBroken):
            if os.path.lexists(link) and not link.is_symlink():
                self._strange.append((link, "domain-wrong"))
            yield Finding(name, self.ground.relative(link), "domain-missing")
            return
        if (owner.username, owner.id) != names:
            self._second.add(names)
            yield Finding(name, self.ground.relative(record), "second-owner", domain)
        elif not self._public.is_right(site, [domain]):
            public = self.ground.paths.public_link(domain)
            if os.path.lexists(public) and not public.is_symlink():
                self._strange.append((public, "public-wrong"))
            yield Finding(name, self.ground.relative(public), "public-wrong")

    def _foreign_records(self) -> Iterator[Finding]:
        registry = self.ground.paths.registry
        for user in _listed(registry):
            if not is_name(user) or not (registry / user).is_dir():
                yield self._note(registry / user, "foreign")
                continue
            for name in _listed(registry / user):
                if not name.endswith(".json") or not is_name(name.removesuffix(".json")):
                    yield self._note(registry / user / name, "foreign")

    def _look_at_domains(self) -> Iterator[Finding]:
        for domain in _listed(self.ground.paths.domains):
            link = self.ground.paths.domain(domain)
            try:
                self.ground.registry.holder_of(domain)
            except SiteBroken:
                continue  # Told where the record is; its domain stays taken.
            except (SiteNotFound, ValueError):
                if link.is_symlink() and os.readlink(link).startswith("../registry/"):
                    yield Finding(None, self.ground.relative(link), "domain-wrong")
                elif os.path.lexists(link):
                    yield self._note(link, "domain-wrong")

    def _look_at_public(self) -> Iterator[Finding]:
        for domain in self._public.domains():
            link = self.ground.paths.public_link(domain)
            try:
                self.ground.registry.holder_of(domain)
            except (SiteBroken, SiteNotFound):
                if link.is_symlink() and os.readlink(link).startswith("../sites/"):
                    yield Finding(None, self.ground.relative(link), "public-wrong")
                elif os.path.lexists(link):
                    yield self._note(link, "public-wrong")

    def _note(self, path: Path, kind: str) -> Finding:
        self._strange.append((path, kind))
        return Finding(None, self.ground.relative(path), kind)

    # --- Mending ----------------------------------------------------------------------------

    def mend(self, work: Work) -> None:
        for username, site_id in self._broken:
            self._mend_record(work, username, site_id)
        for username, site_id in self._second:
            self._give_a_domain(work, username, site_id)
        for path, kind in self._strange:
            self.ground.quarantine.take(work, path, kind)

    def afterwards(self, work: Work) -> None:
        """The links are made of the records; this is what a reload does."""
        self.ground.registry.sync(work)

    def _mend_record(self, work: Work, username: str, site_id: str) -> None:
        """Put a record together from what can be read of it, from its links and its metadata."""
        record = self.ground.paths.record(username, site_id)
        try:
            require_readable(record)
        except OSError:
            return  # It may be sound: told, and left.
        made = self._remade(username, site_id)
        if made is None:
            self.ground.quarantine.take(work, record, "record-damaged")
            return
        if record.is_file() and not record.is_symlink():
            self.ground.quarantine.copy(record, "record-damaged")
        else:
            self.ground.quarantine.take(work, record, "record-damaged")
        self.ground.registry.restore(work, username, site_id, made)

    def _remade(self, username: str, site_id: str) -> bytes | None:
        """The new record; None when nothing tells its domain.

        Nothing is made public that may not have been: only a site whose link for nginx is there, or whose old
        record says so, is enabled.
        """
        now = timestamp(self.ground.now)
        fields = {"id": site_id, "username": username, "created_at": now, "updated_at": now}
        links = self.ground.paths.domains
        target = self.ground.paths.domain_target(username, site_id)
        linked = [d for d in _listed(links) if (links / d).is_symlink() and os.readlink(links / d) == target]
        was_public = any(os.path.lexists(self.ground.paths.public_link(domain)) for domain in linked)
        base = {**fields, "domain": linked[0] if linked else "", "index": "index.html", "enabled": was_public}
        readable = self._readable_fields(username, site_id)
        for name in [field for field in Site.__struct_fields__ if field not in fields or field == "created_at"]:
            if name in readable and _is_record({**base, "domain": base["domain"] or "a.invalid", name: readable[name]}):
                base[name] = readable[name]
        encoded = json.dumps(base, ensure_ascii=False, indent=2).encode() + b"\n"
        return encoded if _is_record(base) else None

    def _readable_fields(self, username: str, site_id: str) -> dict[str, object]:
        try:
            fields = msgspec.json.decode(files.read(self.ground.paths.record(username, site_id)))
        except (OSError, msgspec.MsgspecError, RecursionError):
            return {}
        return fields if isinstance(fields, dict) else {}

    def _give_a_domain(self, work: Work, username: str, site_id: str) -> None:
        """A domain that nobody can have, in place of one that is another site's; the first keeps it."""
        site = self.ground.registry.get(username, site_id)
        lost = [domain for domain in site.domains if not self._has(site, domain)]
        self.ground.quarantine.copy(self.ground.paths.record(username, site_id), f"second-owner of {', '.join(lost)}")
        spare = f"{hashlib.sha256(f'{username}/{site_id}'.encode()).hexdigest()[:16]}.invalid"
        changed = msgspec.structs.replace(
            site,
            domain=spare if site.domain in lost else site.domain,
            aliases=tuple(alias for alias in site.aliases if alias not in lost),
            updated_at=timestamp(self.ground.now),
        )
        encoded = msgspec.json.format(msgspec.json.encode(changed), indent=2) + b"\n"
        self.ground.registry.restore(work, username, site_id, encoded)

    def _has(self, site: Site, domain: str) -> bool:
        """Is a domain the site's, or nobody's?"""
        try:
            owner = self.ground.registry.holder_of(domain)
        except (SiteNotFound, SiteBroken):
            return True
        return (owner.username, owner.id) == (site.username, site.id)


def _is_record(fields: dict[str, object]) -> bool:
    try:
        site_from_record(json.dumps(fields).encode(), str(fields["username"]), str(fields["id"]))
    except (ValueError, TypeError):
        return False
    return True


def _listed(folder: Path) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []
