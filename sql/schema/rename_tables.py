"""Moves our tables aside while a dump is restored: dropped on success, moved back on failure."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from ..connection import Connection
from .partitions import filled

ASIDE: Final = "orchestrator_set_aside"


@contextmanager
def renamed_tables(connection: Connection) -> Iterator[None]:
    """Move our tables to another schema for the block; drop them at its end.

    If the block fails it must have undone its own work (in a transaction of its own); the tables
    are moved back.

    Raises:
        psycopg.Error: They cannot be moved.
    """
    row = connection.execute("SELECT current_schema()").fetchone()
    schema = str(row[0]) if row is not None else "public"
    connection.execute(f"DROP SCHEMA IF EXISTS {ASIDE} CASCADE; CREATE SCHEMA {ASIDE}".encode())
    connection.execute(filled("tables_set_schema", source=schema, target=ASIDE))
    try:
        yield
    except BaseException:
        connection.execute(filled("tables_set_schema", source=ASIDE, target=schema))
        raise
    finally:
        connection.execute(f"DROP SCHEMA {ASIDE} CASCADE".encode())
