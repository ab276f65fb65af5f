"""Write every user table of a database, as of one moment, into one JSON document."""

from datetime import UTC, datetime
from pathlib import Path

from pages.database.catalog import name_of, read_sequences, read_tables, read_types
from pages.database.connection import SETTINGS, Connection, connected, execute, told_safely
from pages.database.document import Header, write_document
from pages.database.new_file import new_file
from pages.database.rows import read_rows
from pages.errors import OperationFailed

# The catalogs of older servers have no generated columns.
OLDEST_SERVER = 120000


def export_tables(url: str, target: Path) -> None:
    """Write every user table, as of one moment, into one JSON document at ``target`` (mode 0600).

    Rows are streamed, so memory does not grow with a table. Views, functions, triggers and extensions
    are left out. Raises OperationFailed, and then no ``target`` remains.
    """
    with told_safely(url), connected(url) as connection:
        _export(connection, target)


def _export(connection: Connection, target: Path) -> None:
    if connection.server_version < OLDEST_SERVER:
        raise OperationFailed("an export without pg_dump needs PostgreSQL 12 or newer")
    connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
    with connection.cursor() as cursor, new_file(target) as file:
        cursor.execute(SETTINGS)
        tables = read_tables(cursor)
        for table in tables:
            execute(cursor, "LOCK TABLE ONLY {} IN ACCESS SHARE MODE", name_of(table))
        types, sequences = read_types(cursor), read_sequences(cursor)
        header = Header("pages-tables", 1, datetime.now(UTC), types, sequences)
        write_document(file, header, ((table, read_rows(connection, table)) for table in tables))
