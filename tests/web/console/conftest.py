"""What tests of the console begin with."""

import pytest
from console_person import Person
from helpers import Admin


@pytest.fixture
def person(admin: Admin) -> Person:
    """The admin, signed in, with a site ``default/blog``."""
    person = Person(admin.client)
    person.sign_in()
    return person
