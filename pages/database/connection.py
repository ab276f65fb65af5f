"""A connection to the database: how it is opened and set, and its errors told without secrets."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2 import sql

from pages.database.url import parse_url, redacted
from pages.errors import OperationFailed

# psycopg2 has no type stubs.
Connection = Any
Cursor = Any

CONNECT_SECONDS = "10"

# The empty search path makes PostgreSQL qualify every name it writes; row_security off turns rows that
# a policy would hide into an error; the zero timeouts undo what the role or the URL may have set.
SETTINGS = """
    SET LOCAL search_path = '';
    SET LOCAL extra_float_digits = 3;
    SET LOCAL datestyle = 'ISO, YMD';
    SET LOCAL intervalstyle = 'postgres';
    SET LOCAL timezone = 'UTC';
    SET LOCAL bytea_output = 'hex';
    SET LOCAL lc_monetary = 'C';
    SET LOCAL xmloption = 'content';
    SET LOCAL standard_conforming_strings = on;
    SET LOCAL row_security = off;
    SET LOCAL statement_timeout = 0;
    SET LOCAL lock_timeout = 0;
    SET LOCAL idle_in_transaction_session_timeout = 0;
    SET LOCAL client_min_messages = warning
"""


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    """A connection that is open inside the block."""
    parameters = {"connect_timeout": CONNECT_SECONDS, **parse_url(url), "client_encoding": "UTF8"}
    connection = psycopg2.connect(**parameters)
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def told_safely(url: str) -> Iterator[None]:
    """Turn what goes wrong inside into an OperationFailed without secrets."""
    try:
        yield
    except psycopg2.Error as error:
        reason = error.diag.message_primary or str(error) or type(error).__name__
    except UnicodeError:
        reason = "the database holds text that is not in the encoding it declares"
    except OSError as error:
        reason = f"{Path(error.filename or '').name}: {error.strerror}"
    else:
        return
    # The original's text may hold secrets, so it is not shown as the cause.
    raise OperationFailed(redacted(reason, url)) from None


def execute(cursor: Cursor, template: str, *parts: sql.Composable) -> None:
    """Execute a statement with its parts, names quoted, in the places of its ``{}``."""
    cursor.execute(sql.SQL(template).format(*parts))
