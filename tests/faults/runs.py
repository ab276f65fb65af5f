"""Programs of the laboratory, run by tests: two at once, each judging the ``pages`` that PAGES_SOURCE names."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from faults import injector
from helpers import PROJECT

# The folder that holds the `pages` to be judged; another one for a patched copy.
SOURCE = Path(os.environ.get("PAGES_SOURCE", PROJECT))


def environment(source: Path = SOURCE) -> dict[str, str]:
    """What a program of the laboratory needs: the injector, and that ``source`` is found first."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PAGES_")}
    path = os.pathsep.join([str(source), str(PROJECT / "tests")])
    return injector.with_injector({**inherited, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"})


def lab(*arguments: str, source: Path = SOURCE, timeout: float = 900) -> Any:
    """Run ``python -m faults.lab`` and return what it found; fails when it could not do its work."""
    command = [sys.executable, "-m", "faults.lab", *arguments]
    done = subprocess.run(
        command, env=environment(source), capture_output=True, text=True, timeout=timeout, check=False, cwd="/"
    )
    assert done.returncode == 0, f"{arguments}:\n{done.stderr[-3000:]}"
    return json.loads(done.stdout) if done.stdout else None


def all_labs(jobs: Iterable[tuple[str, ...]], source: Path = SOURCE) -> list[Any]:
    """Several of them, two at once; in the order of ``jobs``."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda job: lab(*job, source=source), jobs))
