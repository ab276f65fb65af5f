"""A table's rows as a stream: out of the database, and back in through COPY."""

from collections.abc import Iterator

from psycopg2 import sql

from pages.database.catalog import Table, name_of
from pages.database.connection import Connection, Cursor
from pages.database.document import Row

ROWS_AT_ONCE = 200
COPY_BYTES = 1 << 16


def read_rows(connection: Connection, table: Table) -> Iterator[Row]:
    """The table's own rows (not its children's), a few at a time."""
    values = [sql.SQL("{}::text").format(sql.Identifier(column.name)) for column in table.columns]
    query = sql.SQL("SELECT {} FROM ONLY {}")
    with connection.cursor("rows") as cursor:
        cursor.itersize = ROWS_AT_ONCE
        # psycopg2 takes an answer without columns for no answer.
        cursor.execute(query.format(sql.SQL(", ").join(values or [sql.NULL]), name_of(table)))
        for row in cursor:
            yield list(row) if values else []


def copy_rows(cursor: Cursor, table: Table, rows: Iterator[Row]) -> None:
    """Put rows into the table, which computes its generated columns anew."""
    kept = [place for place, column in enumerate(table.columns) if not column.generated]
    names = sql.SQL(", ").join(sql.Identifier(table.columns[place].name) for place in kept)
    # COPY has no empty list of columns, and without a list leaves generated columns out itself.
    target = sql.SQL("{} ({})").format(name_of(table), names) if kept else name_of(table)
    lines = (_copy_line([row[place] for place in kept]) for row in rows)
    cursor.copy_expert(sql.SQL("COPY {} FROM STDIN").format(target), _Lines(lines), COPY_BYTES)


def _copy_line(row: Row) -> bytes:
    return ("\t".join(r"\N" if value is None else _escaped(value) for value in row) + "\n").encode()


def _escaped(value: str) -> str:
    value = value.replace("\\", r"\\")
    return value.replace("\n", r"\n").replace("\r", r"\r").replace("\t", r"\t")


class _Lines:
    """An iterator of lines as the file that psycopg2 reads from."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines
        self._ahead = bytearray()

    def read(self, size: int) -> bytes:
        while len(self._ahead) < size and (line := next(self._lines, None)) is not None:
            self._ahead += line
        data = bytes(self._ahead[:size])
        del self._ahead[:size]
        return data
