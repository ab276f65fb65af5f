"""Failed logins, slowed down: how many are allowed from an address, for a user, and for both together.

Shared by all processes of an installation. Knows nothing of HTTP; addresses and names are what a client gave.
"""

import ipaddress
import math
import struct
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from pages.blocks import BLOCK_BYTES, Blocks, SharedBlocks
from pages.tally import Tally, find, tag_of

# Of what is allowed for one user from one address: all users of one address, one user from all addresses.
ADDRESS_FACTOR = 3
USER_FACTOR = 10
# How long an address is remembered from which a user has logged in.
FRIEND_SECONDS = 30 * 86400

_STRANGERS, _FRIENDS, _LIST = 4096, 512, 1024  # Blocks: failures of either, and who is a friend.
_FRIEND = struct.Struct("<8sQ")  # Whose, and when last, in seconds.
_FRIENDS_OF_A_USER = BLOCK_BYTES // _FRIEND.size
_REFRESH_SECONDS = 3600


@dataclass(frozen=True)
class Attempt:
    """Somebody tries to log in. ``wait`` is 0, or the seconds until the next attempt may be made.

    A friend is who has logged in as this user from this address before; settled, when a success is nothing new.
    Lured is who was sent by another site's page, and maybe with a name and password of that page's.
    """

    address: str
    user: str
    is_lured: bool = False
    wait: int = 0
    is_friend: bool = False
    is_settled: bool = False


class _Rule(NamedTuple):
    """What is counted, where, and how much of it is allowed."""

    name: str
    tally: Tally
    key: bytes
    limit: int


class Throttle:
    """``limit`` failures in ``window`` seconds are allowed for one user from one address; 0: any number.

    A friend is judged by that limit alone, and counted apart: so nobody elsewhere can lock it out. Nor can a page it
    looks at: who is lured has a count of its own. ``path`` is the file of the counts, 2.75 MiB.
    """

    def __init__(self, path: Path, limit: int, window: float) -> None:
        self._limit = limit
        self._blocks = SharedBlocks(path, _STRANGERS + _FRIENDS + _LIST)
        self._strangers = Tally(0, _STRANGERS, window)
        self._friends = Tally(_STRANGERS, _FRIENDS, window)

    def attempt(self, untrusted_address: str, untrusted_user: str, now: float, is_lured: bool = False) -> Attempt:
        """May this user try from there? ``now`` is in seconds since the epoch; no address (``""``) is unknown."""
        attempt = Attempt(_network(untrusted_address), untrusted_user, is_lured)
        if not self._limit:
            return attempt
        return self._blocks.use(lambda blocks: self._judge(blocks, attempt, now))

    def failed(self, attempt: Attempt, now: float) -> list[str]:
        """Count a failure; returns what is blocked from now on: ``pair``, ``address``, ``user``."""
        if not self._limit:
            return []
        # A friend's count for all others too: what a user's own addresses do is seen by the wider limits.
        rules = self._rules(attempt, everything=True)
        totals = self._blocks.use(lambda blocks: [rule.tally.add(blocks, rule.key, now) for rule in rules])
        return [rule.name for rule, total in zip(rules, totals, strict=True) if total == rule.limit]

    def succeeded(self, attempt: Attempt, now: float) -> None:
        """Forget this user's failures from this address, and remember that it may come from there."""
        if self._limit and attempt.address and not attempt.is_settled:
            self._blocks.use(lambda blocks: self._settle(blocks, attempt, now))

    def _judge(self, blocks: Blocks, attempt: Attempt, now: float) -> Attempt:
        last = self._last_success(blocks, attempt, now) if attempt.address else None
        attempt = replace(attempt, is_friend=last is not None)
        rules = self._rules(attempt)
        counts = [rule.tally.count(blocks, rule.key, now) for rule in rules]
        pairs = zip(rules, counts, strict=True)
        wait = max(rule.tally.seconds_until_below(count, rule.limit, now) for rule, count in pairs)
        is_settled = last is not None and now - last < _REFRESH_SECONDS and not counts[0].total
        return replace(attempt, wait=math.ceil(wait), is_settled=is_settled)

    def _rules(self, attempt: Attempt, everything: bool = False) -> list[_Rule]:
        """The counts that an attempt is judged by; ``everything``: that its failure is added to. The pair's first."""
        of_user = _Rule("user", self._strangers, b"user\0" + _encoded(attempt.user), self._limit * USER_FACTOR)
        if not attempt.address:
            return [of_user]
        tally = self._friends if attempt.is_friend else self._strangers
        pair = b"lured " + _pair(attempt) if attempt.is_lured else _pair(attempt)
        of_pair = _Rule("pair", tally, pair, self._limit)
        if attempt.is_friend and not everything:
            return [of_pair]
        of_address = _Rule(
            "address", self._strangers, b"address\0" + _encoded(attempt.address), self._limit * ADDRESS_FACTOR
        )
        return [of_pair, of_address, of_user]

    # --- Friends ----------------------------------------------------------------------------

    def _last_success(self, blocks: Blocks, attempt: Attempt, now: float) -> int | None:
        tag, block = _friend(blocks, attempt)
        content = blocks.read(block)
        at = find(content, tag, _FRIEND.size)
        last = None if at is None else int(_FRIEND.unpack_from(content, at)[1])
        return last if last is not None and now - last < FRIEND_SECONDS else None

    def _settle(self, blocks: Blocks, attempt: Attempt, now: float) -> None:
        of_pair = self._rules(attempt)[0]
        of_pair.tally.clear(blocks, of_pair.key, now)
        tag, block = _friend(blocks, attempt)
        friends = [friend for friend in _FRIEND.iter_unpack(blocks.read(block)) if friend[0] != tag]
        friends.sort(key=lambda friend: int(friend[1]), reverse=True)
        latest = [(tag, int(now)), *friends[: _FRIENDS_OF_A_USER - 1]]
        blocks.write(block, b"".join(_FRIEND.pack(*friend) for friend in latest))


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _pair(attempt: Attempt) -> bytes:
    return b"pair\0" + _encoded(attempt.address) + b"\0" + _encoded(attempt.user)


def _friend(blocks: Blocks, attempt: Attempt) -> tuple[bytes, int]:
    """What is stored of a user's address, and in which block: one for each user, so that no other fills it."""
    tag, _ = tag_of(blocks.secret, _pair(attempt))
    _, number = tag_of(blocks.secret, b"friends of\0" + _encoded(attempt.user))
    return tag, _STRANGERS + _FRIENDS + number % _LIST


@lru_cache(maxsize=1000)
def _network(untrusted_address: str) -> str:
    """Who is one client: an IPv4 address, or the /64 that an IPv6 address is in; other text as it is."""
    try:
        address = ipaddress.ip_address(untrusted_address)
    except ValueError:
        return untrusted_address
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return str(ipaddress.ip_network((int(address), 64), strict=False))
        address = address.ipv4_mapped
    return str(address)
