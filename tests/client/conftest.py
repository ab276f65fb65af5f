"""Fixtures of the command line: who uses it, and a server that they use."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from client.people import Person, served
from flask import Flask
from helpers import Admin

from pages import files
from pages.client import api


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without waiting for the disk, nor between tries."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setattr(files, "sync_file_system", lambda path: None)
    monkeypatch.setattr(api, "BRIEF", (0.0, 0.0, 0.0))


@pytest.fixture
def person(tmp_path: Path) -> Person:
    """Somebody who has never used it."""
    (tmp_path / "person/home").mkdir(parents=True)
    return Person(tmp_path / "person")


@pytest.fixture
def operator(app: Flask, admin: Admin, person: Person) -> Iterator[Person]:
    """Somebody in the folder of an installation that is running; ``default/blog`` is what they publish to."""
    del admin
    with served(app) as port:
        (person.folder / "config.toml").write_text(f"[server]\nport = {port}\n")
        person.settings["PAGES_SITE"] = "default/blog"
        yield person


@pytest.fixture
def browse(app: Flask) -> Callable[..., bytes]:
    """What a visitor of ``blog.localhost`` gets."""
    visitor = Admin(app.test_client())
    return lambda path="/", **more: visitor.visit(path, **more).data


@pytest.fixture
def service(app: Flask, admin: Admin) -> Iterator[str]:
    """The address of a server with the site ``default/blog``."""
    del admin
    with served(app) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def member(service: str, person: Person) -> Person:
    """Somebody who is logged in as the admin."""
    person.ok("login", service, "--user", "admin", "--password-stdin", stdin="admin\n")
    return person
