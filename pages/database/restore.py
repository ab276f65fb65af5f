"""Put an export back: types, sequences, tables and rows, in one transaction."""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, cast

from psycopg2 import sql

from pages.database.catalog import Column, Named, Sequence, Table, name_of, require_empty
from pages.database.connection import SETTINGS, Connection, Cursor, connected, execute, told_safely
from pages.database.document import Plan, Row, read_parts, read_plan
from pages.database.rows import copy_rows


def import_tables(url: str, source: Path, *, clean: bool = False) -> None:
    """Put a document of ``export_tables`` back in one transaction, all or nothing.

    Without ``clean`` the database must hold no table; with it, what the document holds is dropped first,
    along with the views and foreign keys that hang on it. Raises OperationFailed.
    """
    with told_safely(url), connected(url) as connection:
        _restore(connection, source, clean)


def _restore(connection: Connection, source: Path, clean: bool) -> None:
    plan = read_plan(source)
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


def _drop(cursor: Cursor, plan: Plan) -> None:
    for table in plan.tables:
        execute(cursor, "DROP TABLE IF EXISTS {} CASCADE", name_of(table))
    # No CASCADE here: it would take columns of tables that the export does not put back.
    for sequence in plan.header.sequences:
        execute(cursor, "DROP SEQUENCE IF EXISTS {}", name_of(sequence))
    for type_ in reversed(plan.header.types):
        execute(cursor, "DROP {} IF EXISTS {}", sql.SQL(type_.kind), name_of(type_))


def _create(cursor: Cursor, plan: Plan) -> None:
    types, sequences = plan.header.types, plan.header.sequences
    named: list[Named] = [*types, *sequences, *plan.tables]
    for schema in sorted({thing.schema for thing in named}):
        # CREATE SCHEMA IF NOT EXISTS asks for the right to create even when there is nothing to do.
        cursor.execute("SELECT FROM pg_namespace WHERE nspname = %s", (schema,))
        if not cursor.rowcount:
            execute(cursor, "CREATE SCHEMA {}", sql.Identifier(schema))
    for type_ in types:
        execute(cursor, "CREATE {} {} {}", sql.SQL(type_.kind), name_of(type_), sql.SQL(type_.definition))
    for sequence in sequences:
        if not sequence.identity:
            parts = name_of(sequence), sql.SQL(sequence.type), _numbers(sequence)
            execute(cursor, "CREATE SEQUENCE {} AS {} {}", *parts)
    identities = {sequence.owner: sequence for sequence in sequences if sequence.identity}
    for table in plan.tables:
        _create_table(cursor, table, identities)


def _create_table(cursor: Cursor, table: Table, identities: dict[Any, Sequence]) -> None:
    owner = table.schema, table.name
    columns = [_column(column, identities.get((*owner, column.name))) for column in table.columns]
    kind = sql.SQL("UNLOGGED TABLE" if table.unlogged else "TABLE")
    partition_by = sql.SQL(f"PARTITION BY {table.partition_by}" if table.partition_by else "")
    execute(cursor, "CREATE {} {} ({}) {}", kind, name_of(table), sql.SQL(", ").join(columns), partition_by)


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
        clauses.append(identity.format(name_of(sequence), _numbers(sequence)))
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
    for are_rows, parts in groupby(read_parts(source), lambda part: isinstance(part, list)):
        if are_rows:
            copy_rows(cursor, table, cast(Iterator[Row], parts))
        else:
            *_, table = parts


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
                parts = name_of(table), sql.Identifier(constraint.name), sql.SQL(constraint.definition)
                execute(cursor, "ALTER TABLE {} ADD CONSTRAINT {} {}", *parts)


def _attach(cursor: Cursor, plan: Plan) -> None:
    for table in plan.tables:
        for parent in table.parents:
            if table.bound:
                parts = sql.Identifier(*parent), name_of(table), sql.SQL(table.bound)
                execute(cursor, "ALTER TABLE {} ATTACH PARTITION {} {}", *parts)
            else:
                execute(cursor, "ALTER TABLE {} INHERIT {}", name_of(table), sql.Identifier(*parent))


def _set_sequence(cursor: Cursor, sequence: Sequence) -> None:
    name = name_of(sequence).as_string(cursor)
    cursor.execute("SELECT setval(%s::regclass, %s, %s)", (name, sequence.last_value, sequence.is_called))
    if sequence.owner and not sequence.identity:
        execute(cursor, "ALTER SEQUENCE {} OWNED BY {}", name_of(sequence), sql.Identifier(*sequence.owner))
