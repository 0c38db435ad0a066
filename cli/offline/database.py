"""Connections for commands that use the database directly."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ExitCode, Failure
from ..local_settings import Place, missing_extra, read_settings

if TYPE_CHECKING:
    from ...sql.connection import Connection
    from ...sql.errors import StoreError


@contextmanager
def database_failures() -> Iterator[None]:
    """Turn errors of the database into a `Failure` with a next step."""
    try:
        import psycopg

        from ...sql.errors import StoreError, translate
    except ModuleNotFoundError as error:
        raise missing_extra(error, "daemon") from error
    try:
        yield
    except StoreError as error:
        raise _failure(error) from error
    except psycopg.Error as error:
        raise _failure(translate(error)) from error


def _failure(error: "StoreError") -> Failure:
    from ...sql.errors import Denied, SchemaError, StoreError, Unavailable

    kinds: tuple[tuple[type[StoreError], str, ExitCode, str], ...] = (
        (Unavailable, "unreachable", ExitCode.UNREACHABLE, "see `orchestrator doctor`"),
        (Denied, "denied", ExitCode.FORBIDDEN, "correct user and password in PG_URL"),
        (SchemaError, "schema", ExitCode.FAILED, "see `orchestrator db status`"),
        (StoreError, "database", ExitCode.FAILED, "see `orchestrator doctor`"),
    )
    _, code, exit_code, advice = next(row for row in kinds if isinstance(error, row[0]))
    return Failure(
        "the database refused",
        code=code,
        cause=str(error),
        advice=advice,
        exit_code=exit_code,
    )


@contextmanager
def connection(config: Path | None) -> Iterator["Connection"]:
    """A connection to the configured database, closed at the end.

    Raises:
        Failure: it cannot be opened.
    """
    with database_failures():
        from ...sql.connection import connect

        with connect(Place(read_settings(config)).needed_pg_url()) as opened:
            yield opened
