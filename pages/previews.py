"""Looking at a checkpoint that is not live: by a signed link on the site's own domain, or on a host of its own.

What may be looked at, until when, and the key that signs the links stand in the site's metadata; with another key all
links and hosts are void at once.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from time import monotonic

import msgspec

from pages import history
from pages.errors import Broken, CheckpointNotFound, HistoryBroken, SiteBusy, SiteNotFound
from pages.history import Histories, is_checkpoint_id
from pages.model import History, Preview, Site, timestamp
from pages.registry import Registry
from pages.settling import Settler
from pages.space import Space
from pages.trees import Trees
from pages.versions import Versions

_MOST = 100  # Previews of a site at one time; the ones that end first are dropped.
_SIGNATURE_DIGITS = 32
_REST, _QUICK = 4.0, 0.1  # So many times as long as unpacking took, where it took more than these seconds.
_MOST_RESTS = 1000  # More sites are not remembered.
# A host's first label: no more than 63 characters of these (RFC 1123), and "--" is what stands between its parts.
_LABEL = re.compile(r"(?P<id>[0-9]{8}-[0-9]{6}-[0-9a-f]{8})--(?P<site>.+)--(?P<username>.+)")
_PART = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_MAX_LABEL = 63


@dataclass(frozen=True)
class Granted:
    """A preview: the link's token, the host of its own if it has one, and its end."""

    token: str
    host: str | None
    until: str


class Previews:
    """The previews of all sites; ``domain`` is what their hosts stand below, "" for none."""

    def __init__(
        self,
        registry: Registry,
        histories: Histories,
        settler: Settler,
        trees: Trees,
        versions: Versions,
        space: Space,
        domain: str,
    ) -> None:
        self._registry = registry
        self._histories = histories
        self._settler = settler
        self._trees = trees
        self._versions = versions
        self._space = space
        self._domain = domain
        self._rest_until: dict[tuple[str, str], float] = {}

    def grant(self, site: Site, checkpoint_id: str, seconds: int, now: datetime) -> Granted:
        """Let a checkpoint be looked at for so long; ``CheckpointNotFound``, ``CheckpointBroken``."""
        until = (now + timedelta(seconds=seconds)).replace(microsecond=0)
        with self._settler.locked_site(site) as work:
            before = self._histories.read(site)
            self._versions.tree_of(work, site, history.checkpoint_in(before, checkpoint_id))
            self._versions.keep(work, site)
            others = [preview for preview in _alive(before, now) if preview.checkpoint != checkpoint_id]
            longest = max([until, *(_end(p) for p in _alive(before, now) if p.checkpoint == checkpoint_id)])
            previews = [*sorted(others, key=_end)[1 - _MOST :], Preview(checkpoint_id, timestamp(longest, "seconds"))]
            key = before.preview_key or secrets.token_hex(32)
            after = msgspec.structs.replace(before, preview_key=key, previews=tuple(sorted(previews, key=_end)))
            self._histories.write(work, after)
        end = int(until.timestamp())
        token = f"{checkpoint_id}.{end}.{_signature(key, site, checkpoint_id, end)}"
        return Granted(token, self.host_of(site, checkpoint_id), timestamp(until, "seconds"))

    def revoke(self, site: Site) -> None:
        """Make all links and hosts of a site void, on a full disk as well."""
        self._space.for_deleting(partial(self._revoke, site))

    def _revoke(self, site: Site) -> None:
        with self._settler.locked_site(site) as work:
            before = self._histories.read(site)
            after = msgspec.structs.replace(before, preview_key=secrets.token_hex(32), previews=())
            self._histories.write(work, after)

    def alive(self, site: Site, now: datetime) -> list[Preview]:
        """The previews that there are now, the one that ends first at the start."""
        return sorted(_alive(self._histories.read(site), now), key=_end)

    def by_token(self, site: Site, token: str, now: datetime) -> str | None:
        """The checkpoint that a link's token shows now; None for a token that is void, or another site's."""
        checkpoint_id, _, rest = token.partition(".")
        end, _, signature = rest.partition(".")
        if not (is_checkpoint_id(checkpoint_id) and end.isascii() and end.isdigit() and len(end) <= 12):
            return None
        if int(end) <= now.timestamp():
            return None
        try:
            known = self._histories.read(site)
        except HistoryBroken:  # What is live is served all the same.
            return None
        right = _signature(known.preview_key, site, checkpoint_id, int(end))
        is_right = hmac.compare_digest(signature.encode("utf-8", "surrogateescape"), right.encode())
        if not known.preview_key or not is_right:
            return None
        return checkpoint_id if any(c.id == checkpoint_id for c in known.checkpoints) else None

    def host_of(self, site: Site, checkpoint_id: str) -> str | None:
        """The host on which a preview of the checkpoint is shown; None where there is none for such names."""
        label = f"{checkpoint_id}--{site.id}--{site.username}"
        if (
            not self._domain
            or len(label) > _MAX_LABEL
            or not (_PART.fullmatch(site.id) and _PART.fullmatch(site.username))
        ):
            return None
        return f"{label}.{self._domain}"

    def is_host(self, host: str) -> bool:
        """Does a host stand below the domain of previews, whatever it shows?"""
        return bool(self._domain) and host.endswith(f".{self._domain}")

    def by_host(self, host: str, now: datetime) -> tuple[Site, str]:
        """The enabled site and the checkpoint that a host shows now; ``SiteNotFound``."""
        found = _LABEL.fullmatch(host.removesuffix(f".{self._domain}"))
        if found is None or not (_PART.fullmatch(found["site"]) and _PART.fullmatch(found["username"])):
            raise SiteNotFound()
        with suppress(Broken, CheckpointNotFound):
            site = self._registry.get(found["username"], found["site"])
            if site.enabled and found["id"] in previewed(self._histories.read(site), now):
                return site, found["id"]
        raise SiteNotFound()

    def tree(self, site: Site, checkpoint_id: str) -> str:
        """A tree of the checkpoint; unpacked anew where it was cleared away.

        Who has links to more versions than are kept must not have one unpacked by every request: so after each there
        is a rest, in which the site can be changed. ``CheckpointNotFound``, ``CheckpointBroken``, ``SiteBusy``.
        """
        found = self._trees.find(site, checkpoint_id, lambda _tree: True)
        return str(found or self._unpacked(site, checkpoint_id))

    def _unpacked(self, site: Site, checkpoint_id: str) -> Path:
        name = site.username, site.id
        if monotonic() < self._rest_until.get(name, 0.0):
            raise SiteBusy()
        with self._settler.locked_site(site) as work:
            began = monotonic()
            found = self._versions.tree_of(work, site, self._histories.get(site, checkpoint_id))
            self._versions.keep(work, site)
            if len(self._rest_until) >= _MOST_RESTS:
                self._rest_until.clear()
            took = monotonic() - began
            self._rest_until[name] = monotonic() + (_REST * took if took > _QUICK else 0.0)
        return found


def previewed(known: History, now: datetime) -> set[str]:
    """The checkpoints that may be looked at now."""
    return {preview.checkpoint for preview in _alive(known, now)}


def _alive(known: History, now: datetime) -> Iterator[Preview]:
    return (preview for preview in known.previews if _end(preview) > now)


def _end(preview: Preview) -> datetime:
    return datetime.fromisoformat(preview.until)


def _signature(key: str, site: Site, checkpoint_id: str, end: int) -> str:
    text = f"{site.username}/{site.id}/{site.created_at}/{checkpoint_id}/{end}"
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()[:_SIGNATURE_DIGITS]
