"""Fixtures: an application on a data folder of its own, its admin, and a real server."""

import os
import secrets
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from helpers import Admin, Server
from postgres import Postgres

from pages.app import create_app
from pages.config import Config, load_config
from pages.work import run_now


@pytest.fixture
def make_config(tmp_path: Path) -> Callable[..., Config]:
    """Settings for this test alone; keywords are settings as environment text."""

    def make(**settings: Any) -> Config:
        environ = {"PAGES_DATA_DIR": str(tmp_path / "data"), "PAGES_BACKUP_DIR": str(tmp_path / "backups")}
        environ |= {name if name.isupper() else f"PAGES_{name.upper()}": str(v) for name, v in settings.items()}
        os.chdir(tmp_path)  # Where there is no config.toml but what the test puts there.
        return load_config(environ)

    return make


@pytest.fixture(autouse=True)
def _stay_here() -> Iterator[None]:
    folder = Path.cwd()
    yield
    os.chdir(folder)


@pytest.fixture
def make_app(make_config: Callable[..., Config]) -> Callable[..., Flask]:
    """An application with these settings on this test's data folder."""

    def make(**settings: Any) -> Flask:
        return create_app(make_config(**settings), run_now)

    return make


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    return make_app()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def admin(client: FlaskClient) -> Admin:
    """The admin, with a site ``default/blog`` on ``blog.localhost``."""
    admin = Admin(client)
    admin.create("blog")
    return admin


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The data folder of ``app`` and ``admin``."""
    return tmp_path / "data"


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Real gunicorn servers; keywords are environment variables. Stopped at the end of the test."""
    servers = []

    def make(folder: str = "server", start: bool = True, **settings: str) -> Server:
        (tmp_path / folder).mkdir(exist_ok=True)
        server = Server(tmp_path / folder, settings)
        servers.append(server)
        return server.start() if start else server

    yield make
    for server in servers:
        server.stop()


@pytest.fixture
def server(make_server: Callable[..., Server]) -> Server:
    """A real server with a site ``default/blog`` on ``blog.localhost``."""
    server = make_server()
    assert server.api("POST", "/_api/sites", {"id": "blog", "domain": "blog.localhost"}).status == 201
    return server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real PostgreSQL for the whole run."""
    try:
        server = Postgres()
    except FileNotFoundError as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(str(missing))
        pytest.skip(str(missing))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def database(postgres: Postgres) -> Iterator[str]:
    """The DATABASE_URL of a new, empty database."""
    name = f"test_{secrets.token_hex(4)}"
    yield postgres.create_database(name)
    postgres.drop_database(name)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Keep folders of tests that run side by side short: there are unix sockets in them, of 107 bytes at most."""
    if hasattr(config, "workerinput"):
        config.option.basetemp = config.option.basetemp.replace("popen-gw", "")


def pytest_make_parametrize_id(val: object) -> str | None:
    """A hash's id is its method: the same in every run, as tests that are shared out among processes need it."""
    return val.partition("$")[0] if isinstance(val, str) and val.startswith(("pbkdf2:", "scrypt:")) else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What was logged about names that are not UTF-8 goes from process to process as well."""
    report = yield
    report.sections = [(name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections]
    return report
