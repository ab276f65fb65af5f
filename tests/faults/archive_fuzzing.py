"""One worker of the archive fuzzer, a process of its own: many mutants, each within its time and memory.

Run as ``python archive_fuzzing.py PLAN``; PLAN is JSON: the seed, the numbers from ``first`` on by ``step``, how
many of the accepted mutants go to disk and to other programs, a folder to work in, one for failures, a file of cases.
``python archive_fuzzing.py corpus CASES`` reads the cases of a file, each within the same bounds.
"""

import io
import json
import os
import pickle
import resource
import signal
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from archive_mutants import Mutants
from archive_oracles import Refused, against_programs, against_stdlib, judged, staged

from pages.archive import Limits, archive_kind, read_archive
from pages.errors import BadArchive, TooLarge

CPU_SECONDS = 10  # For one small mutant: most take a ten-thousandth of it.
MEMORY_BYTES = 64 * 1024 * 1024  # More than at the start.


@dataclass(frozen=True)
class Plan:
    seed: int
    first: int
    step: int
    count: int
    on_disk: int
    work: str
    failures: str
    cases: str


class TooSlow(BaseException):
    """A mutant used up its time."""


def main(plan: Plan) -> Iterator[str]:
    """Try the mutants; yields a line of JSON for each failure and one with the counts at the end."""
    with open(plan.cases, "rb") as file:
        mutants = Mutants(pickle.load(file), plan.seed)
    counts: Counter[str] = Counter()
    limit_memory()
    every = 1
    for turn in range(plan.count):
        number = plan.first + turn * plan.step
        filename, what, data = mutants.make(number)
        outcome, wrong = attempt(data, filename, plan, goes_to_disk=turn % every == 0)
        counts[f"{filename} {outcome}"] += 1
        counts["on disk"] += outcome == "accepted" and turn % every == 0
        # As many as asked for, spread over the whole run. (One in six is accepted.)
        every = max(1, plan.count // (6 * max(plan.on_disk, 1))) if plan.on_disk else plan.count + 1
        if wrong:
            yield json.dumps({"failure": kept(plan, number, filename, data, f"{what}: {wrong}")})
    yield json.dumps({"counts": counts})


def attempt(data: bytes, filename: str, plan: Plan, goes_to_disk: bool) -> tuple[str, str]:
    """What became of a mutant, and what is wrong with that."""
    try:
        with within_time():
            tree, plain = judged(data, filename)
    except Refused:
        return "refused", ""
    except TooSlow:
        return "failed", f"more than {CPU_SECONDS} s of processor time"
    except Exception as error:
        return "failed", f"raised {error!r}"
    wrong = against_stdlib(data, filename, tree, plain)
    if not wrong and goes_to_disk:
        with tempfile.TemporaryDirectory(dir=plan.work) as folder:
            wrong = against_programs(data, filename, tree, plain, Path(folder))
            wrong = wrong or staged(data, filename, tree, plain, Path(folder))
    return ("failed" if wrong else "accepted"), wrong


def kept(plan: Plan, number: int, filename: str, data: bytes, wrong: str) -> str:
    """Write a failing mutant to a file; returns the sentence that names it."""
    path = Path(plan.failures) / f"seed-{plan.seed}-mutant-{number}-{filename}"
    path.write_bytes(data)
    return f"{path}: {wrong}"


def beyond_bounds(cases: str) -> Iterator[str]:
    """The corpus, one after the other, each within the time and memory of a mutant; yields what is not."""
    with open(cases, "rb") as file:
        corpus = pickle.load(file)
    limit_memory()
    try:
        bytearray(2 * MEMORY_BYTES)
        yield json.dumps({"failure": "the limit of memory is not in force"})
    except MemoryError:
        pass
    limits = Limits(max_files=20_000, max_unpacked_bytes=64 * 1024 * 1024)
    for case in corpus:
        try:
            with within_time():
                for entry in read_archive(io.BytesIO(case.data), archive_kind(case.filename), limits):
                    for _ in entry.chunks:
                        pass
        except (BadArchive, TooLarge):
            pass
        except (Exception, TooSlow) as error:
            yield json.dumps({"failure": f"{case.name}: {error!r}"})


@contextmanager
def within_time() -> Iterator[None]:
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def limit_memory() -> None:
    """From now on little more than now: more is a ``MemoryError``, and that is none of the reader's refusals."""
    threading.stack_size(512 * 1024)
    status = Path("/proc/self/status").read_text()
    now = int(status.partition("VmData:")[2].split()[0]) * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (now + MEMORY_BYTES, resource.RLIM_INFINITY))


def too_slow(number: int, frame: object) -> None:
    raise TooSlow


if __name__ == "__main__":
    signal.signal(signal.SIGPROF, too_slow)
    os.nice(5)
    said = beyond_bounds(sys.argv[2]) if sys.argv[1] == "corpus" else main(Plan(**json.loads(sys.argv[1])))
    for line in said:
        print(line, flush=True)


def as_argument(plan: Plan) -> str:
    return json.dumps(asdict(plan))
