"""What describes types, sequences and tables, and the SQL that reads it from PostgreSQL's catalogs.

The names in the SQL's JSON are those of the structs.
"""

from typing import Literal, TypeVar

import msgspec
from msgspec import Struct
from psycopg2 import sql

from pages.database.connection import Cursor, execute
from pages.errors import OperationFailed

Described = TypeVar("Described", bound=Struct)


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


# Before two threads can be the first to read one: see pages.model.
for _kind in (Table, Sequence, Type):
    msgspec.json.Decoder(_kind)


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


def read_tables(cursor: Cursor) -> list[Table]:
    return _described(cursor, TABLES + USER_TABLES, Table)


def read_types(cursor: Cursor) -> list[Type]:
    return _described(cursor, TYPES, Type)


def read_sequences(cursor: Cursor) -> list[Sequence]:
    found = []
    for sequence in _described(cursor, SEQUENCES, Sequence):
        execute(cursor, "SELECT last_value, is_called FROM {}", name_of(sequence))
        last_value, is_called = cursor.fetchone()
        found.append(msgspec.structs.replace(sequence, last_value=last_value, is_called=is_called))
    return found


def _described(cursor: Cursor, query: str, kind: type[Described]) -> list[Described]:
    cursor.execute(query)
    return [msgspec.json.decode(text, type=kind) for (text,) in cursor]


def require_empty(cursor: Cursor) -> None:
    """Raise OperationFailed when the database holds a table that no extension brought."""
    cursor.execute("SELECT format('%I.%I', n.nspname, c.relname)" + USER_TABLES + "LIMIT 1")
    if found := cursor.fetchone():
        raise OperationFailed(
            f"the database already holds tables ({found[0]} for one): restore into an empty database, "
            "or use --clean to replace what the backup holds"
        )


def name_of(thing: Named) -> sql.Identifier:
    return sql.Identifier(thing.schema, thing.name)
