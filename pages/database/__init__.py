"""A PostgreSQL database: dump it, export its tables, put either back.

``dump`` and ``load_dump`` run PostgreSQL's own pg_dump and pg_restore. ``export_tables``, ``check_export``
and ``import_tables`` do without them, and keep types, sequences and tables only: no views, functions,
triggers or extensions (``document`` has the whole list). Every function but ``check_export`` and ``list_dump`` takes a
DATABASE_URL, which no error message repeats.
"""

from pages.database.client import PgDumpUnavailable, dump, list_dump, load_dump, require_pg_dump
from pages.database.document import check_export
from pages.database.export import export_tables
from pages.database.restore import import_tables
from pages.database.temporary import row_counts, temporary_database
from pages.database.url import parse_url

__all__ = [
    "PgDumpUnavailable",
    "check_export",
    "dump",
    "export_tables",
    "import_tables",
    "list_dump",
    "load_dump",
    "parse_url",
    "require_pg_dump",
    "row_counts",
    "temporary_database",
]
