"""A deploy of a site of which one file in a hundred is new: only that sent, beside all of it."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import sites
from context import Bench, seconds
from ours import Pages
from report import Table

_WHOLE, _DIFFERENCE = "all of it, in a zip", "what is new, and a manifest"
_FULL_MEGABYTES = 1024
# What the slow side of a line sends in a second.
_LINE_BYTES = 20_000_000 / 8


@dataclass(frozen=True)
class _Version:
    """The files that a client makes of one version, before it sends any."""

    whole: Path
    digests: Path
    manifest: Path
    new: Path

    @property
    def sent(self) -> dict[str, int]:
        """How many bytes go to the server in each way."""
        parts = (self.digests, self.manifest, self.new)
        return {_WHOLE: self.whole.stat().st_size, _DIFFERENCE: sum(part.stat().st_size for part in parts)}


def measure(bench: Bench) -> list[Table]:
    """Bytes sent, and from the first byte sent to the last answer; both are sites with the version before."""
    folder = bench.folder / "delta"
    folder.mkdir()
    megabytes = _FULL_MEGABYTES if bench.options.full else bench.options.megabytes
    bench.say(f"Differences: making and deploying a site of {megabytes} MB, twice")
    site = folder / "site"
    sites.make_text_site(site, bench.options.files, megabytes)
    limits = {"PAGES_MAX_UPLOAD_BYTES": str(2 << 30), "PAGES_MAX_UNPACKED_BYTES": str(8 << 30)}
    known = _digests_of(site)
    first = sites.zip_of(site, folder / "first.zip")
    pages = Pages(bench.processes, folder / "pages", limits).start()
    for site_id in ("whole", "part"):
        pages.create(site_id)
        pages.deploy(site_id, first)
    pages.rest()
    what = f"1 % of {megabytes} MB in {bench.options.files:,} files is new"
    sent = Table(f"Deploy, {what}: bytes sent", "MB", _WHOLE)
    took = Table(f"Deploy, {what}: time on loopback, packing not counted", "seconds", _WHOLE)
    bench.say("Differences")
    pages.hang_up()
    for number in range(bench.options.rounds):
        version, known = _next_version(bench, site, known, folder / f"version-{number}")
        for target in bench.chance.sample((_WHOLE, _DIFFERENCE), 2):
            sites.settle(folder)
            took.add(target, _deploy(pages, version, target))
            sent.add(target, version.sent[target] / 1e6)
            pages.rest()
        pages.hang_up()
    for table in (sent, took):
        table.figures = {target: table.figures[target] for target in (_WHOLE, _DIFFERENCE)}
    line = {target: sent.figures[target][-1] * 1e6 / _LINE_BYTES for target in (_WHOLE, _DIFFERENCE)}
    took.notes.append(
        f"on a line of 20 Mbit/s add {line[_WHOLE]:,.0f} s to the first, {line[_DIFFERENCE]:,.1f} s to the second"
    )
    bench.processes.stop_all()
    return [sent, took]


def _deploy(pages: Pages, version: _Version, target: str) -> float:
    if target == _WHOLE:
        return seconds(pages.deploy, "whole", version.whole)
    began = perf_counter()
    pages.missing("part", version.digests)
    pages.deploy_difference("part", version.manifest, version.new)
    return perf_counter() - began


def _next_version(bench: Bench, site: Path, known: dict[str, str], folder: Path) -> tuple[_Version, dict[str, str]]:
    """Change one file in a hundred."""
    folder.mkdir()
    changed = bench.chance.sample(sorted(known), max(1, len(known) // 100))
    for path in changed:
        text = (site / path).read_text()
        (site / path).write_text(f"{bench.chance.random()} {text}"[: len(text)])
    digests = known | _digests_of(site, changed)
    (folder / "new.txt").write_text("\n".join(changed))
    sites.run("sh", "-c", f"zip -q {folder}/new.zip -@ < {folder}/new.txt", inside=site)
    (folder / "digests.json").write_text(json.dumps({"digests": sorted(digests.values())}, separators=(",", ":")))
    (folder / "manifest.json").write_text(json.dumps({"files": digests}, separators=(",", ":")))
    whole = sites.zip_of(site, folder / "whole.zip")
    return _Version(whole, folder / "digests.json", folder / "manifest.json", folder / "new.zip"), digests


def _digests_of(site: Path, paths: list[str] | None = None) -> dict[str, str]:
    """The SHA-256 of each file, by its path."""
    if paths is None:
        paths = [str(path.relative_to(site)) for path in site.rglob("*") if path.is_file()]
    return {path: hashlib.sha256((site / path).read_bytes()).hexdigest() for path in paths}
