"""Every table of a PostgreSQL database in one JSON document: write it, check it, put it back.

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

import os
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeVar, cast

import msgspec
from msgspec import Struct
from psycopg2 import sql

from pages.errors import OperationFailed

# psycopg2 has no type stubs.
Connection = Any
Cursor = Any
Row = list[str | None]
Described = TypeVar("Described", bound=Struct)

# The catalogs of older servers have no generated columns.
OLDEST_SERVER = 120000
ROWS_AT_ONCE = 200
COPY_BYTES = 1 << 16


class Column(Struct, frozen=True):
    name: str
    type: str
    not_null: bool
    default: str | None
    identity: Literal["", "a", "d"]
    generated: Literal["", "s", "v"]
    collation: str | None


class Constraint(Struct, frozen=True):
    name: str
    kind: Literal["p", "u", "x", "c", "f"]
    definition: str


class Named(Struct, frozen=True):
    schema: str
    name: str


class Table(Named, frozen=True):
    unlogged: bool
    partition_by: str | None
    bound: str | None
    parents: list[tuple[str, str]]
    columns: list[Column]
    constraints: list[Constraint]
    indexes: list[str]


class Sequence(Named, frozen=True):
    type: str
    start: int
    increment: int
    minimum: int
    maximum: int
    cache: int
    cycle: bool
    identity: bool
    owner: tuple[str, str, str] | None
    last_value: int = 0
    is_called: bool = False


class Type(Named, frozen=True):
    kind: Literal["TYPE", "DOMAIN"]
    definition: str


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

USER_TABLES = """
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
      AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass
                      AND e.objid = c.oid AND e.deptype = 'e')
    ORDER BY n.nspname, c.relname
"""

# A foreign key with a parent is a partition's copy: putting back the parent's makes it again.
TABLES = """
    SELECT json_build_object(
        'schema', n.nspname, 'name', c.relname, 'unlogged', c.relpersistence = 'u',
        'partition_by', pg_get_partkeydef(c.oid), 'bound', pg_get_expr(c.relpartbound, c.oid),
        'parents', ARRAY(
            SELECT json_build_array(pn.nspname, p.relname)
            FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent
            JOIN pg_namespace pn ON pn.oid = p.relnamespace
            WHERE i.inhrelid = c.oid ORDER BY i.inhseqno),
        'columns', ARRAY(
            SELECT json_build_object(
                'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
                'not_null', a.attnotnull, 'default', pg_get_expr(d.adbin, d.adrelid),
                'identity', a.attidentity, 'generated', a.attgenerated,
                'collation', (
                    SELECT format('%I.%I', ln.nspname, l.collname)
                    FROM pg_collation l JOIN pg_namespace ln ON ln.oid = l.collnamespace
                    WHERE l.oid = a.attcollation AND a.attcollation <> t.typcollation))
            FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
            LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum),
        'constraints', ARRAY(
            SELECT json_build_object(
                'name', k.conname, 'kind', k.contype, 'definition', pg_get_constraintdef(k.oid))
            FROM pg_constraint k
            WHERE k.conrelid = c.oid AND k.contype IN ('p', 'u', 'x', 'c', 'f')
              AND NOT (k.contype = 'f' AND k.conparentid <> 0) ORDER BY k.conname),
        'indexes', ARRAY(
            SELECT pg_get_indexdef(i.indexrelid) FROM pg_index i
            WHERE i.indrelid = c.oid AND i.indisready AND (i.indisvalid OR c.relkind = 'p')
              AND NOT EXISTS (SELECT FROM pg_constraint k
                              WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
            ORDER BY 1)
    )::text
"""

# In the order they were made: a type can only build on older ones.
TYPES = """
    SELECT json_build_object(
        'schema', n.nspname, 'name', t.typname,
        'kind', CASE t.typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END,
        'definition', CASE t.typtype
            WHEN 'e' THEN (
                SELECT format('AS ENUM (%s)', string_agg(
                    quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder))
                FROM pg_enum e WHERE e.enumtypid = t.oid)
            WHEN 'c' THEN (
                SELECT format('AS (%s)', string_agg(
                    format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY a.attnum))
                FROM pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped)
            ELSE concat_ws(' ', 'AS', format_type(t.typbasetype, t.typtypmod),
                'DEFAULT ' || pg_get_expr(t.typdefaultbin, 0), CASE WHEN t.typnotnull THEN 'NOT NULL' END, (
                SELECT string_agg(format('CONSTRAINT %I %s', k.conname, pg_get_constraintdef(k.oid)), ' ')
                FROM pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'c'))
        END
    )::text
    FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace LEFT JOIN pg_class c ON c.oid = t.typrelid
    WHERE (t.typtype IN ('e', 'd') OR t.typtype = 'c' AND c.relkind = 'c')
      AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
      AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_type'::regclass
                      AND e.objid = t.oid AND e.deptype = 'e')
    ORDER BY t.oid
"""

SEQUENCES = """
    SELECT json_build_object(
        'schema', n.nspname, 'name', c.relname, 'type', format_type(s.seqtypid, NULL),
        'start', s.seqstart, 'increment', s.seqincrement, 'minimum', s.seqmin, 'maximum', s.seqmax,
        'cache', s.seqcache, 'cycle', s.seqcycle, 'identity', coalesce(d.deptype = 'i', false),
        'owner', CASE WHEN a.attname IS NOT NULL THEN
            json_build_array(tn.nspname, t.relname, a.attname) END
    )::text
    FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid
        AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
    LEFT JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    LEFT JOIN pg_class t ON t.oid = d.refobjid LEFT JOIN pg_namespace tn ON tn.oid = t.relnamespace
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relpersistence <> 't'
      AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass
                      AND e.objid = c.oid AND e.deptype = 'e')
    ORDER BY n.nspname, c.relname
"""


# --- Writing --------------------------------------------------------------------------------


def export(connection: Connection, target: Path) -> None:
    """Write every user table to ``target`` (mode 0600), as of one moment; a failure leaves no file."""
    if connection.server_version < OLDEST_SERVER:
        raise OperationFailed("an export without pg_dump needs PostgreSQL 12 or newer")
    connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
    with connection.cursor() as cursor, new_file(target) as file:
        cursor.execute(SETTINGS)
        tables = _described(cursor, TABLES + USER_TABLES, Table)
        for table in tables:
            _do(cursor, "LOCK TABLE ONLY {} IN ACCESS SHARE MODE", _name(table))
        types, sequences = _described(cursor, TYPES, Type), _sequences(cursor)
        header = Header("pages-tables", 1, datetime.now(UTC), types, sequences)
        _write(file, header, ((table, _rows(connection, table)) for table in tables))


@contextmanager
def new_file(target: Path) -> Iterator[BinaryIO]:
    """A fresh file only its owner can read: on disk when the block ends, gone when the block fails."""
    target.unlink(missing_ok=True)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(descriptor)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _described(cursor: Cursor, query: str, kind: type[Described]) -> list[Described]:
    cursor.execute(query)
    return [msgspec.json.decode(text, type=kind) for (text,) in cursor]


def _sequences(cursor: Cursor) -> list[Sequence]:
    found = []
    for sequence in _described(cursor, SEQUENCES, Sequence):
        _do(cursor, "SELECT last_value, is_called FROM {}", _name(sequence))
        last_value, is_called = cursor.fetchone()
        found.append(msgspec.structs.replace(sequence, last_value=last_value, is_called=is_called))
    return found


def _rows(connection: Connection, table: Table) -> Iterator[Row]:
    """The table's own rows (not its children's), a few at a time."""
    values = [sql.SQL("{}::text").format(sql.Identifier(column.name)) for column in table.columns]
    query = sql.SQL("SELECT {} FROM ONLY {}")
    with connection.cursor("rows") as cursor:
        cursor.itersize = ROWS_AT_ONCE
        # psycopg2 takes an answer without columns for no answer.
        cursor.execute(query.format(sql.SQL(", ").join(values or [sql.NULL]), _name(table)))
        for row in cursor:
            yield list(row) if values else []


def _write(file: BinaryIO, header: Header, tables: Iterable[tuple[Table, Iterator[Row]]]) -> None:
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
    return sum(isinstance(part, list) for part in _parts(source))


def _plan(source: Path) -> Plan:
    """All but the rows, after the whole document has been checked."""
    header, *tables = (part for part in _parts(source) if not isinstance(part, list))
    return Plan(cast(Header, header), cast(list[Table], tables))


def _parts(source: Path) -> Iterator[Header | Table | Row]:
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


# --- Putting back ---------------------------------------------------------------------------


def restore(connection: Connection, source: Path, clean: bool) -> None:
    """Put an export back in one transaction, all or nothing.

    Without ``clean`` the database must hold no table; with it whatever the export holds is dropped first,
    and with a table the views and foreign keys that hang on it.
    """
    plan = _plan(source)
    with connection.cursor() as cursor:
        cursor.execute(SETTINGS)
        if clean:
            _drop(cursor, plan)
        else:
            require_empty(cursor)
        _create(cursor, plan)
        _load(cursor, source)
        _finish(cursor, plan)
    connection.commit()


def require_empty(cursor: Cursor) -> None:
    """Raise OperationFailed when the database holds a table that no extension brought."""
    cursor.execute("SELECT format('%I.%I', n.nspname, c.relname)" + USER_TABLES + "LIMIT 1")
    if found := cursor.fetchone():
        raise OperationFailed(
            f"the database already holds tables ({found[0]} for one): restore into an empty database, "
            "or use --clean to replace what the backup holds"
        )


def _drop(cursor: Cursor, plan: Plan) -> None:
    for table in plan.tables:
        _do(cursor, "DROP TABLE IF EXISTS {} CASCADE", _name(table))
    # No CASCADE here: it would take columns of tables that the export does not put back.
    for sequence in plan.header.sequences:
        _do(cursor, "DROP SEQUENCE IF EXISTS {}", _name(sequence))
    for type_ in reversed(plan.header.types):
        _do(cursor, "DROP {} IF EXISTS {}", sql.SQL(type_.kind), _name(type_))


def _create(cursor: Cursor, plan: Plan) -> None:
    types, sequences = plan.header.types, plan.header.sequences
    named: list[Named] = [*types, *sequences, *plan.tables]
    for schema in sorted({thing.schema for thing in named}):
        # CREATE SCHEMA IF NOT EXISTS asks for the right to create even when there is nothing to do.
        cursor.execute("SELECT FROM pg_namespace WHERE nspname = %s", (schema,))
        if not cursor.rowcount:
            _do(cursor, "CREATE SCHEMA {}", sql.Identifier(schema))
    for type_ in types:
        _do(cursor, "CREATE {} {} {}", sql.SQL(type_.kind), _name(type_), sql.SQL(type_.definition))
    for sequence in sequences:
        if not sequence.identity:
            parts = _name(sequence), sql.SQL(sequence.type), _numbers(sequence)
            _do(cursor, "CREATE SEQUENCE {} AS {} {}", *parts)
    identities = {sequence.owner: sequence for sequence in sequences if sequence.identity}
    for table in plan.tables:
        _create_table(cursor, table, identities)


def _create_table(cursor: Cursor, table: Table, identities: dict[Any, Sequence]) -> None:
    owner = table.schema, table.name
    columns = [_column(column, identities.get((*owner, column.name))) for column in table.columns]
    kind = sql.SQL("UNLOGGED TABLE" if table.unlogged else "TABLE")
    partition_by = sql.SQL(f"PARTITION BY {table.partition_by}" if table.partition_by else "")
    _do(cursor, "CREATE {} {} ({}) {}", kind, _name(table), sql.SQL(", ").join(columns), partition_by)


def _column(column: Column, sequence: Sequence | None) -> sql.Composed:
    clauses = [sql.Identifier(column.name), sql.SQL(column.type)]
    if column.collation:
        clauses.append(sql.SQL(f"COLLATE {column.collation}"))
    if column.generated:
        kept = "STORED" if column.generated == "s" else "VIRTUAL"
        clauses.append(sql.SQL(f"GENERATED ALWAYS AS ({column.default}) {kept}"))
    elif column.default is not None:
        clauses.append(sql.SQL(f"DEFAULT {column.default}"))
    # A partition has its identity from its parent, and no sequence of its own.
    if column.identity and sequence:
        when = "ALWAYS" if column.identity == "a" else "BY DEFAULT"
        identity = sql.SQL(f"GENERATED {when} AS IDENTITY (SEQUENCE NAME {{}} {{}})")
        clauses.append(identity.format(_name(sequence), _numbers(sequence)))
    if column.not_null:
        clauses.append(sql.SQL("NOT NULL"))
    return sql.SQL(" ").join(clauses)


def _numbers(sequence: Sequence) -> sql.SQL:
    return sql.SQL(
        f"START {sequence.start} INCREMENT {sequence.increment} MINVALUE {sequence.minimum} "
        f"MAXVALUE {sequence.maximum} CACHE {sequence.cache} {'CYCLE' if sequence.cycle else 'NO CYCLE'}"
    )


def _load(cursor: Cursor, source: Path) -> None:
    table: Any = None
    for are_rows, parts in groupby(_parts(source), lambda part: isinstance(part, list)):
        if are_rows:
            _copy(cursor, table, cast(Iterator[Row], parts))
        else:
            *_, table = parts


def _copy(cursor: Cursor, table: Table, rows: Iterator[Row]) -> None:
    kept = [place for place, column in enumerate(table.columns) if not column.generated]
    names = sql.SQL(", ").join(sql.Identifier(table.columns[place].name) for place in kept)
    # COPY has no empty list of columns, and without a list leaves generated columns out itself.
    target = sql.SQL("{} ({})").format(_name(table), names) if kept else _name(table)
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


def _finish(cursor: Cursor, plan: Plan) -> None:
    """What is cheaper, or only possible, once the rows are there.

    Partitions join their parents with their keys and indexes already made, so that these keep their
    names; a foreign key may lean on any unique index and on the whole tree, so it comes after both.
    """
    _constrain(cursor, plan, "pux")
    _constrain(cursor, plan, "c")
    for table in plan.tables:
        for definition in table.indexes:
            cursor.execute(definition)
    _attach(cursor, plan)
    _constrain(cursor, plan, "f")
    for sequence in plan.header.sequences:
        _set_sequence(cursor, sequence)


def _constrain(cursor: Cursor, plan: Plan, kinds: str) -> None:
    for table in plan.tables:
        for constraint in table.constraints:
            if constraint.kind in kinds:
                parts = _name(table), sql.Identifier(constraint.name), sql.SQL(constraint.definition)
                _do(cursor, "ALTER TABLE {} ADD CONSTRAINT {} {}", *parts)


def _attach(cursor: Cursor, plan: Plan) -> None:
    for table in plan.tables:
        for parent in table.parents:
            if table.bound:
                parts = sql.Identifier(*parent), _name(table), sql.SQL(table.bound)
                _do(cursor, "ALTER TABLE {} ATTACH PARTITION {} {}", *parts)
            else:
                _do(cursor, "ALTER TABLE {} INHERIT {}", _name(table), sql.Identifier(*parent))


def _set_sequence(cursor: Cursor, sequence: Sequence) -> None:
    name = _name(sequence).as_string(cursor)
    cursor.execute("SELECT setval(%s::regclass, %s, %s)", (name, sequence.last_value, sequence.is_called))
    if sequence.owner and not sequence.identity:
        _do(cursor, "ALTER SEQUENCE {} OWNED BY {}", _name(sequence), sql.Identifier(*sequence.owner))


def _do(cursor: Cursor, template: str, *parts: sql.Composable) -> None:
    cursor.execute(sql.SQL(template).format(*parts))


def _name(thing: Named) -> sql.Identifier:
    return sql.Identifier(thing.schema, thing.name)
