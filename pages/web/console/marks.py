"""What is said of a page beside its code, for the guard (``gate``); without a mark it is for who is signed in."""

from collections.abc import Callable
from typing import TypeVar

from flask import Response

View = TypeVar("View", bound=Callable[..., Response])

everybodys: set[object] = set()
admins: set[object] = set()
bound_by_their_address: set[object] = set()


def for_everybody(view: View) -> View:
    """Mark a page that asks for no session."""
    everybodys.add(view)
    return view


def for_admin(view: View) -> View:
    """Mark a page that tenants may not see."""
    admins.add(view)
    return view


def bound_by_address(view: View) -> View:
    """Mark a form whose token stands in its address where no header has it: nothing of the body is read before."""
    bound_by_their_address.add(view)
    return view
