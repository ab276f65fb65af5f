"""The JSON document of an export: its layout, written and read as a stream.

What is kept: types (enum, domain, composite), sequences with their values and owners, and per table
its columns, constraints, indexes, place in a partition tree, and rows. What is not: views, functions,
triggers, rules, policies, extensions, large objects, comments, privileges; ``pg_dump`` keeps those. An
extension or function that a column needs must be in the database before the document is put back.

The document is valid JSON as a whole, and has one row per line so that it is read back as a stream:

    {header fields,"tables":[
    {table fields,"rows":[
    ["1","text",null],
    ["2","more",null]
    ],"row_count":2}
    ],"row_total":2}

Each value is the text PostgreSQL itself writes and reads for it, so every type comes back exact.
"""

from collections.abc import Generator, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Literal, cast

import msgspec
from msgspec import Struct

from pages.database.catalog import Sequence, Table, Type
from pages.errors import OperationFailed

Row = list[str | None]


class Header(Struct, frozen=True):
    format: Literal["pages-tables"]
    version: Literal[1]
    created_at: datetime
    types: list[Type]
    sequences: list[Sequence]


class Plan(Struct, frozen=True):
    """A whole document but for its rows."""

    header: Header
    tables: list[Table]


# --- Writing --------------------------------------------------------------------------------


def write_document(file: BinaryIO, header: Header, tables: Iterable[tuple[Table, Iterator[Row]]]) -> None:
    file.write(_opened(header, b"tables"))
    total, separator = 0, b"\n"
    for table, rows in tables:
        file.write(separator + _opened(table, b"rows"))
        count = _write_rows(file, rows)
        file.write(b'\n],"row_count":%d}' % count)
        total, separator = total + count, b",\n"
    file.write(b'\n],"row_total":%d}\n' % total)


def _write_rows(file: BinaryIO, rows: Iterator[Row]) -> int:
    count = 0
    for count, row in enumerate(rows, 1):
        file.write((b",\n" if count > 1 else b"\n") + msgspec.json.encode(row))
    return count


def _opened(record: Struct, list_name: bytes) -> bytes:
    """The record's JSON, left open for a list that follows line by line."""
    return msgspec.json.encode(record)[:-1] + b',"%s":[' % list_name


# --- Reading --------------------------------------------------------------------------------


def check_export(source: Path) -> int:
    """Read an export through and return how many rows it holds; OperationFailed when it is not whole."""
    return sum(isinstance(part, list) for part in read_parts(source))


def read_plan(source: Path) -> Plan:
    """All but the rows, after the whole document has been checked."""
    header, *tables = (part for part in read_parts(source) if not isinstance(part, list))
    return Plan(cast(Header, header), cast(list[Table], tables))


def read_parts(source: Path) -> Iterator[Header | Table | Row]:
    """The header, then each table with its rows after it."""
    try:
        with source.open("rb") as file:
            yield from _parse(file)
    except (msgspec.MsgspecError, ValueError) as error:
        raise OperationFailed(f"{source.name} is not a whole export: {error}") from None
    except OSError as error:
        raise OperationFailed(f"{source.name} cannot be read: {error.strerror}") from None


def _parse(file: BinaryIO) -> Iterator[Header | Table | Row]:
    yield msgspec.json.decode(_closed(file.readline(), b"tables"), type=Header)
    total = 0
    while (line := file.readline()).startswith(b"{"):
        table = msgspec.json.decode(_closed(line, b"rows"), type=Table)
        yield table
        total += yield from _parse_rows(file, len(table.columns))
    if _counted(line) != {"row_total": total} or file.read(1):
        raise ValueError("the number of rows or the end is wrong")


def _parse_rows(file: BinaryIO, width: int) -> Generator[Row, None, int]:
    decoder, count = msgspec.json.Decoder(Row), 0
    while (line := file.readline()).startswith(b"["):
        row = decoder.decode(line.rstrip(b",\n"))
        if len(row) != width:
            raise ValueError(f"a row has {len(row)} values and not {width}")
        count += 1
        yield row
    if _counted(line) != {"row_count": count}:
        raise ValueError("a table does not have the rows it says")
    return count


def _closed(line: bytes, list_name: bytes) -> bytes:
    """Undo ``_opened``."""
    return line.rstrip(b"\n").removesuffix(b',"%s":[' % list_name) + b"}"


def _counted(line: bytes) -> dict[str, int]:
    """What a line such as ``],"row_count":2},`` says."""
    return msgspec.json.decode(b"{" + line.rstrip(b",\n").removeprefix(b"],"), type=dict[str, int])
