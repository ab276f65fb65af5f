"""Every operation, with a fault at each of its calls: killed, or refused by the disk, and started again."""

from typing import Any

import pytest
from faults.runs import all_labs
from faults.scenes import LONG_SCENES, SCENES
from helpers import THOROUGH

_ONCE = "eio,enospc,edquot,erofs,emfile"
_ON = "eio-on,enospc-on,erofs-on,emfile-on"

# Each has a likeness that is tried quickly.
_LEFT_OUT = (
    "create beside another",
    "delete beside another",
    "enable",
    "swap domain and alias",
    "change how aliases are answered",
    "change settings",
    "deploy once",
    "pin",
    "another checkout with a net",
    "confirm",
    "plan otherwise",
    "cancel",
    "planned switch",
    "delete with a plan",
    "revoke",
)
_QUICK = [scene for scene in SCENES if scene not in _LEFT_OUT]


def _jobs() -> list[tuple[str, ...]]:
    """One for each scene, as setting a scene takes as long as twenty points; 0 is all points of each fault."""
    if not THOROUGH:
        modes = "kill,kill,kill,eio,enospc,emfile,enospc-on,short"
        return [(scene, "--modes", modes, "--wanted", "2", "--seed", "quick") for scene in _QUICK]
    jobs = []
    for scene in SCENES:
        # A life is every operation once more: they are there for the power cuts.
        wanted = "100" if scene.startswith("a life") else "0"
        jobs += [(scene, "--modes", modes, "--wanted", wanted) for modes in ("kill,short", _ONCE, _ON)]
    return jobs + [(scene, "--modes", f"kill,short,{_ONCE}", "--wanted", "30") for scene in LONG_SCENES]


@pytest.fixture(scope="module")
def found() -> list[Any]:
    return all_labs(_jobs())


@pytest.mark.parametrize("scene", [*SCENES, *LONG_SCENES] if THOROUGH else _QUICK)
def test_a_fault_at_any_call_leaves_old_or_new_and_nothing_between(found: list[Any], scene: str) -> None:
    results = [result for result in found if result["scene"] == scene]
    assert all(result["points"] > 0 for result in results), "the calls were not seen"
    assert [wrong for result in results for wrong in result["wrong"]] == []


def test_enough_was_tried(found: list[Any]) -> None:
    points = sum(result["points"] for result in found)
    crashes = sum(result["recovery_crashes"] for result in found)
    print(f"{points} points, {crashes} crashes inside a recovery")
    assert points >= (5_000 if THOROUGH else 250)
    assert crashes >= (1_000 if THOROUGH else 50)
