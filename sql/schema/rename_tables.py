"""Our tables out of the way, while those of a dump come: they go if all is well, else come back."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from ..connection import Connection
from .partitions import filled

ASIDE: Final = "orchestrator_set_aside"


@contextmanager
def renamed_tables(connection: Connection) -> Iterator[None]:
    """Move our tables to another schema for the block; drop them at its end.

    If the block fails, what it made must be gone already (a transaction of its own); the tables are
    moved back.

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
