"""Failed logins, slowed down: how many are allowed from an address, for a user, and for both together.

Shared by all processes of an installation. Knows nothing of HTTP; addresses and names are what a client gave.
"""

import ipaddress
import math
import struct
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pages.blocks import BLOCK_BYTES, Blocks, SharedBlocks
from pages.tally import Count, Tally, find, tag_of

# Of what is allowed for one user from one address: all users of one address, one user from all addresses.
ADDRESS_FACTOR = 3
USER_FACTOR = 10
# How long an address is remembered from which a user has logged in.
FRIEND_SECONDS = 30 * 86400

_COUNT_BLOCKS = 2048
_FRIEND_BLOCKS = 1024
_FRIEND = struct.Struct("<8sQ")  # Whose, and when last, in seconds.
_FRIENDS = BLOCK_BYTES // _FRIEND.size
_REFRESH_SECONDS = 3600


@dataclass(frozen=True)
class Attempt:
    """Somebody tries to log in. ``wait`` is 0, or the seconds until the next attempt may be made."""

    address: str
    user: str
    wait: int = 0
    is_settled: bool = False


class Throttle:
    """``limit`` failures in ``window`` seconds are allowed for one user from one address; 0: any number.

    A user's own addresses, from which it has logged in lately, are judged by that limit alone: so nobody
    elsewhere can lock it out. ``path`` is the file of the counts, about 1.5 MiB.
    """

    def __init__(self, path: Path, limit: int, window: float) -> None:
        self._limit = limit
        self._blocks = SharedBlocks(path, _COUNT_BLOCKS + _FRIEND_BLOCKS)
        self._tally = Tally(0, _COUNT_BLOCKS, window)

    def attempt(self, untrusted_address: str, untrusted_user: str, now: float) -> Attempt:
        """May this user try from there? ``now`` is in seconds since the epoch; no address (``""``) is unknown."""
        address = _network(untrusted_address)
        if not self._limit:
            return Attempt(address, untrusted_user)
        return self._blocks.use(lambda blocks: self._judge(blocks, address, untrusted_user, now))

    def failed(self, attempt: Attempt, now: float) -> list[str]:
        """Count a failure; returns what is blocked from now on: ``pair``, ``address``, ``user``."""
        if not self._limit:
            return []

        def count(blocks: Blocks) -> list[str]:
            limits = self._limits(attempt.address, attempt.user)
            totals = {name: self._tally.add(blocks, key, now) for name, (key, _) in limits.items()}
            return [name for name, (_, limit) in limits.items() if totals[name] == limit]

        return self._blocks.use(count)

    def succeeded(self, attempt: Attempt, now: float) -> None:
        """Forget this user's failures from this address, and remember that it may come from there."""
        if self._limit and attempt.address and not attempt.is_settled:
            self._blocks.use(lambda blocks: self._settle(blocks, attempt, now))

    def _judge(self, blocks: Blocks, address: str, user: str, now: float) -> Attempt:
        limits = self._limits(address, user)
        last = self._last_success(blocks, address, user, now) if address else None
        if last is not None:
            limits = {"pair": limits["pair"]}
        counts = {name: self._tally.count(blocks, key, now) for name, (key, _) in limits.items()}
        wait = max(self._wait(counts[name], limit, now) for name, (_, limit) in limits.items())
        is_fresh = last is not None and now - last < _REFRESH_SECONDS
        return Attempt(address, user, wait, is_fresh and not counts["pair"].total)

    def _wait(self, count: Count, limit: int, now: float) -> int:
        return math.ceil(self._tally.seconds_until_below(count, limit, now))

    def _limits(self, address: str, user: str) -> dict[str, tuple[bytes, int]]:
        """The counts that an attempt belongs to, each with its limit."""
        name = user.encode("utf-8", "surrogatepass")
        of_user = {"user": (b"user\0" + name, self._limit * USER_FACTOR)}
        if not address:
            return of_user
        place = address.encode("utf-8", "surrogatepass")
        return {
            "pair": (b"pair\0" + place + b"\0" + name, self._limit),
            "address": (b"address\0" + place, self._limit * ADDRESS_FACTOR),
            **of_user,
        }

    # --- Where users come from ------------------------------------------------------------------

    def _last_success(self, blocks: Blocks, address: str, user: str, now: float) -> int | None:
        tag, block = self._friend(blocks, address, user)
        content = blocks.read(block)
        at = find(content, tag, _FRIEND.size)
        last = None if at is None else int(_FRIEND.unpack_from(content, at)[1])
        return last if last is not None and now - last < FRIEND_SECONDS else None

    def _settle(self, blocks: Blocks, attempt: Attempt, now: float) -> None:
        self._tally.clear(blocks, self._limits(attempt.address, attempt.user)["pair"][0], now)
        tag, block = self._friend(blocks, attempt.address, attempt.user)
        friends = [friend for friend in _FRIEND.iter_unpack(blocks.read(block)) if friend[0] != tag]
        friends.sort(key=lambda friend: int(friend[1]), reverse=True)
        latest = [(tag, int(now)), *friends[: _FRIENDS - 1]]
        blocks.write(block, b"".join(_FRIEND.pack(*friend) for friend in latest))

    def _friend(self, blocks: Blocks, address: str, user: str) -> tuple[bytes, int]:
        """What is stored of a user's address, and in which block: one for each user, so that no other fills it."""
        limits = self._limits(address, user)
        tag, _ = tag_of(blocks.secret, b"friend\0" + limits["pair"][0])
        _, number = tag_of(blocks.secret, b"friend\0" + limits["user"][0])
        return tag, _COUNT_BLOCKS + number % _FRIEND_BLOCKS


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
