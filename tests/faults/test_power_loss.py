"""Power cuts on real ext4 and XFS: what was acknowledged is there afterwards, and nothing half."""

import shutil
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from faults.disks import why_not
from faults.runs import SOURCE, environment, lab
from faults.scenes import SCENES
from helpers import THOROUGH

# A mount is mostly waited for: more at once than there are processors.
_AT_ONCE = 6
_QUICK = {
    "ext4": [
        ("a life", "power0,power1", "2"),
        ("a life with plans", "power0", "2"),
        ("second deploy", "power0,power1", "1"),
        ("delete", "power0", "2"),
    ],
    "xfs": [("a life", "power0", "2")],
}


def _jobs(kind: str) -> list[tuple[str, str, str]]:
    if not THOROUGH:
        return _QUICK[kind]
    return [
        (scene, mode, "60" if scene.startswith("a life") else "12") for scene in SCENES for mode in ("power0", "power1")
    ]


def _all(kind: str, jobs: Iterable[tuple[str, str, str]], source: Path = SOURCE) -> list[Any]:
    def run(job: tuple[str, str, str]) -> Any:
        scene, modes, wanted = job
        return lab(scene, "--modes", modes, "--wanted", wanted, "--disk", kind, source=source)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(run, jobs))


@pytest.fixture
def disk(request: pytest.FixtureRequest) -> str:
    if reason := why_not(request.param):
        pytest.skip(f"no {request.param} of our own on this machine: {reason}")
    return str(request.param)


@pytest.mark.parametrize("disk", ["ext4", "xfs"], indirect=True)
def test_a_power_cut_at_any_call_loses_nothing_that_was_acknowledged(disk: str) -> None:
    found = _all(disk, _jobs(disk))
    print(
        f"{disk}: {sum(each['points'] for each in found)} cuts, {sum(each['recovery_crashes'] for each in found)} more"
    )
    assert all(each["points"] > 0 for each in found)
    assert [wrong for each in found for wrong in each["wrong"]] == []


@pytest.mark.parametrize("disk", ["ext4", "xfs"] if THOROUGH else ["ext4"], indirect=True)
def test_a_power_cut_is_one_without_any_sync_something_is_lost(disk: str, tmp_path: Path) -> None:
    shutil.copytree(SOURCE / "pages", tmp_path / "pages", ignore=shutil.ignore_patterns("__pycache__"))
    with open(tmp_path / "pages/files.py", "a") as module:
        module.write(
            "\n\nfsync_file = fsync_folder = sync_file_system = lambda path: None\nos.fsync = lambda descriptor: None\n"
        )
    (found,) = _all(disk, [("a life", "power0", "3")], tmp_path)
    assert any("lost" in wrong or "the start fails" in wrong for wrong in found["wrong"]), found


def test_no_power_is_cut_where_no_loop_device_is_mounted(tmp_path: Path) -> None:
    program = (
        "from faults import injector; from pathlib import Path; "
        f"injector.watch(Path({str(tmp_path)!r})); injector.arm(injector.MODES['power0'], 0, Path({str(tmp_path)!r})); "
        "injector.cut_the_power()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 99
    assert "no power was cut" in done.stderr
    (tmp_path / "still").write_text("writable")
