"""A database for a test restore, made on the same server and dropped again; and how full a database is."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
from psycopg2 import sql

from pages.database.catalog import name_of, read_tables
from pages.database.connection import SETTINGS, connected, execute, told_safely

_PREFIX = "pages_drill_"


@contextmanager
def temporary_database(url: str) -> Iterator[str | None]:
    """The DATABASE_URL of a new, empty database beside the one of ``url``; None when the user may create none.

    Raises ``OperationFailed`` when the server cannot be reached.
    """
    name = f"{_PREFIX}{secrets.token_hex(6)}"
    with told_safely(url):
        is_made = _create(url, name)
    if not is_made:
        yield None
        return
    try:
        # What a query names later counts: this dbname, not the one in the path.
        yield f"{url.strip()}{'&' if '?' in url else '?'}dbname={name}"
    finally:
        with told_safely(url):
            _execute(url, "DROP DATABASE {} WITH (FORCE)", sql.Identifier(name))


def row_counts(url: str) -> dict[str, int]:
    """How many rows each user table holds, by ``schema.table``; partitions count apart. ``OperationFailed``."""
    with told_safely(url), connected(url) as connection, connection.cursor() as cursor:
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        cursor.execute(SETTINGS)
        counts = {}
        for table in read_tables(cursor):
            execute(cursor, "SELECT count(*) FROM ONLY {}", name_of(table))
            counts[f"{table.schema}.{table.name}"] = int(cursor.fetchone()[0])
        return counts


def _create(url: str, name: str) -> bool:
    with connected(url) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_encoding_to_char(encoding), datcollate, datctype FROM pg_database "
            "WHERE datname = current_database()"
        )
        encoding, collate, ctype = (sql.Literal(value) for value in cursor.fetchone())
    statement = "CREATE DATABASE {} TEMPLATE template0 ENCODING {} LC_COLLATE {} LC_CTYPE {}"
    try:
        _execute(url, statement, sql.Identifier(name), encoding, collate, ctype)
    except psycopg2.errors.InsufficientPrivilege:
        return False
    return True


def _execute(url: str, statement: str, *parts: sql.Composable) -> None:
    """Execute what no transaction may hold."""
    with connected(url) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            execute(cursor, statement, *parts)
