"""The laboratory judged: every bug that is put in is found by it."""

from pathlib import Path

import pytest
from faults.mutations import LOGIC, PROMISES, SYNCS, Bug, found, patched
from helpers import THOROUGH

_QUICK = (
    "a file's content",
    "all of a deploy",
    "a link's name",
    "the intent",
    "switch before commit",
    "no intent",
    "an fsync that failed is passed over",
    "a switch's entry",
    "a planned switch is not forgotten",
    "nginx serves rules before it is told not to",
    "any signature shows a preview",
    "pruning does not look again",
    "an alias is claimed unseen",
)
_BUGS = [bug for bug in SYNCS + LOGIC + PROMISES if THOROUGH or bug.name in _QUICK]


@pytest.mark.parametrize("bug", SYNCS + LOGIC + PROMISES, ids=lambda bug: bug.name.replace(" ", "-"))
def test_a_bug_can_still_be_put_in(bug: Bug, tmp_path: Path) -> None:
    assert patched(bug, tmp_path) == tmp_path


@pytest.mark.parametrize("bug", _BUGS, ids=lambda bug: bug.name.replace(" ", "-"))
def test_a_bug_that_is_put_in_is_found(bug: Bug) -> None:
    assert found(bug), f"{bug.name} passes unseen"
