"""The archive corpus: what an upload must be refused for, and what it must be accepted with.

Every hostile archive is right but for the one rule its `why` names, so that a reader which misses that rule
accepts it; most have an innocent `index.html` first, so that a reader which refuses only the entry fails too.
"""

import gzip
import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from . import shapes, tars, tools, zips


@dataclass(frozen=True)
class Hostile:
    """Must be refused as a whole."""

    name: str
    filename: str
    data: bytes
    why: str


@dataclass(frozen=True)
class Harmless:
    """Must be accepted, and unpack to `tree`: path -> content; an empty folder is `name/` -> b""."""

    name: str
    filename: str
    data: bytes
    tree: dict[str, bytes]


HOSTILE = [Hostile(*row) for row in (*zips.hostile(), *tars.hostile())]
HARMLESS = [Harmless(*row) for row in (*zips.harmless(), *tars.harmless(), *shapes.rows())]


def tool_archives(tmp: Path) -> list[Harmless]:
    """What real tools make, in an empty folder `tmp`; a tool that is missing is left out."""
    return [Harmless(*row) for row in tools.rows(tmp)]


def refused_tool_archives(tmp: Path) -> list[Hostile]:
    """What real tools make with options that are refused, in an empty folder `tmp`."""
    return [Hostile(*row) for row in tools.refused_rows(tmp)]


def small_tool_archives(tmp: Path) -> list[Harmless]:
    """The same of a few small files."""
    return [Harmless(*row) for row in tools.rows(tmp, small=True)]


def bombs() -> list[Hostile]:
    """Small to hold, large to unpack; slow to make. If `why` starts with `limit`, only a limit refuses it."""
    return [Hostile(*row) for row in (*zips.bombs(), *tars.bombs())]


def mutants(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    """Damaged harmless archives, always the same ones for a seed. The name says what was done and ends in the
    file name. Some are still harmless: a reader must refuse or accept each in good order, and no more."""
    chance = random.Random(seed)
    cases = [(case, _inside(case)) for case in HARMLESS]
    cases = [(case, inner) for case, inner in cases if len(inner) < 100_000]
    for number in range(count):
        (case, inner), (other, donor) = chance.choices(cases, k=2)
        # The gzip checksum would hide nearly every change from what reads the tar, so most are made inside.
        deep = case.filename != "a.zip" and chance.random() < 0.8
        what, data = _damaged(chance, inner if deep else case.data, donor if deep else other.data)
        if deep:
            if chance.random() < 0.8:
                what, data = what + "-summed", _summed(data)
            what, data = what + "-inside", gzip.compress(data, 1, mtime=0)
        yield f"{number}-{what}-{case.name}-{case.filename}", data


def _inside(case: Harmless) -> bytes:
    return case.data if case.filename == "a.zip" else gzip.decompress(case.data)


def _damaged(chance: random.Random, data: bytes, donor: bytes) -> tuple[str, bytes]:
    out = bytearray(data)
    what = chance.choice(("flip", "flip", "number", "number", "cut", "splice", "duplicate", "delete", "swap"))
    spot, start, length = _spot(chance, data), _spot(chance, data), chance.choice((1, 2, 4, 46, 512, 1024))
    if what == "flip":
        for _ in range(chance.choice((1, 1, 1, 2, 5))):
            out[_spot(chance, data)] ^= 1 << chance.randrange(8)
    elif what == "number":
        width, form = chance.choice(((1, "<B"), (2, "<H"), (4, "<L"), (8, "<Q")))
        top = (1 << 8 * width) - 1
        number = chance.choice((0, 1, top, top - 1, top >> 1, chance.randint(0, top)))
        out[spot : spot + width] = struct.pack(form, number)
    elif what == "cut":
        del out[chance.choice((spot, max(1, len(out) - chance.randrange(1, 600)))) :]
    elif what == "splice":
        out[spot:] = donor[_spot(chance, donor) :]
    elif what == "duplicate":
        out[spot:spot] = data[start : start + length]
    elif what == "delete":
        del out[spot : spot + length]
    else:
        out[spot : spot + length] = data[start : start + length]
        out[start : start + length] = data[spot : spot + length]
    return what, bytes(out)


def _spot(chance: random.Random, data: bytes) -> int:
    """A place to damage: more often in a header than in content."""
    if data[:2] == b"PK":
        heads, reach = [at for at in range(len(data) - 1) if data[at : at + 2] == b"PK"], 64
    else:
        heads, reach = list(range(0, len(data), 512)), 1
    place = chance.randrange(len(data))
    if chance.random() < 0.7:
        place = chance.choice(heads) + chance.randrange(reach)
    if reach == 1 and chance.random() < 0.5:
        place += chance.choice((0, 124, 135, 148, 156, 257, 345))  # where the fields of a tar header begin
    return min(place, len(data) - 1)


def _summed(tar: bytes) -> bytes:
    """The tar with the checksum of every block that looks like a header made right."""
    blocks = [tar[at : at + 512] for at in range(0, len(tar), 512)]
    for at, block in enumerate(blocks):
        if len(block) == 512 and block[257:262] == b"ustar":
            total = sum(block) - sum(block[148:156]) + 8 * 32
            blocks[at] = block[:148] + b"%06o\0 " % total + block[156:]
    return b"".join(blocks)
