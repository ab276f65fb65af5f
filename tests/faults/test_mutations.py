"""The laboratory judged: every bug that is put in is found by it."""

import pytest
from faults.mutations import LOGIC, SYNCS, Bug, found
from helpers import THOROUGH

_QUICK = (
    "a file's content",
    "all of a deploy",
    "a link's name",
    "the intent",
    "switch before commit",
    "no intent",
    "an fsync that failed is passed over",
)
_BUGS = [bug for bug in SYNCS + LOGIC if THOROUGH or bug.name in _QUICK]


@pytest.mark.parametrize("bug", _BUGS, ids=lambda bug: bug.name.replace(" ", "-"))
def test_a_bug_that_is_put_in_is_found(bug: Bug) -> None:
    assert found(bug), f"{bug.name} passes unseen"
