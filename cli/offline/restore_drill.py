"""The restore drill: a dump in a server of its own, compared with the database it is of."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ..doctor.check_results import CheckResult, critical, ok, unknown, warning
from ..errors import Failure
from .postgres_programs import run_program

if TYPE_CHECKING:
    from ...sql.connection import Connection
    from ...sql.events.history import Ends

_NOT_A_BACKUP = "keep no other dump for this one; make a new one: `orchestrator db dump FILE`"


def drill(file: Path, url: str | None) -> list[CheckResult]:
    """Restore ``file``, and compare it with the database at ``url``; ``None``: it does not run.

    Raises:
        Failure: the embedded server does not start, or is not installed.
    """
    from ...sql.connection import connect
    from ...sql.errors import StoreError

    with _empty_server() as own_url:
        try:
            words = ("--exit-on-error", "--no-owner", "--no-acl", str(file))
            run_program("pg_restore", own_url, *words)
        except Failure as failure:
            if failure.code == "not_installed":
                raise
            return [critical("restore", failure.cause or failure.message, _NOT_A_BACKUP)]
        try:
            with connect(own_url) as connection:
                started, restored = _as_a_start_would(connection)
        except StoreError as error:
            return [ok("restore", str(file)), critical("tables", str(error), _NOT_A_BACKUP)]
    return [ok("restore", str(file)), started, *_compared(restored, url)]


@contextmanager
def _empty_server() -> Iterator[str]:
    from ...runtime.embedded import EmbeddedPostgres, ServerStartFailed

    with TemporaryDirectory(prefix="orchestrator-drill-") as folder:
        server = EmbeddedPostgres(Path(folder) / "postgres")
        try:
            yield server.start()
        except ServerStartFailed as error:
            raise Failure(
                "there is no server to restore into",
                code="not_running",
                cause=str(error),
                advice=error.advice,
            ) from error
        finally:
            server.stop()


def _as_a_start_would(connection: "Connection") -> tuple[CheckResult, "Ends"]:
    from ...sql.events.history import ends
    from ...sql.schema.migrator import migrate

    applied = migrate(connection)
    said = f"brought up to date ({len(applied)} steps)" if applied else "as this version has them"
    return ok("tables", said), ends(connection)


def _compared(restored: "Ends", url: str | None) -> Iterator[CheckResult]:
    from ...sql.connection import connect
    from ...sql.errors import StoreError
    from ...sql.events.history import ends

    if restored.last_id is None:
        yield warning("events", "there is none in it", "is it a dump of the right database?")
        return
    said = f"{restored.events} events, {restored.first_id} to {restored.last_id}"
    try:
        if url is None:
            yield unknown("events", f"{said}; the database does not run, nothing to compare with")
            return
        with connect(url) as connection:
            there = ends(connection, first=restored.first_id or 0, up_to=restored.last_id)
    except StoreError as error:
        yield unknown("events", f"{said}; nothing to compare with: {error}")
        return
    yield _counted("events", said, restored.events, there.events)
    yield _end("last event", restored, there)
    for name, mine, theirs in (
        ("agents", restored.agents, there.agents),
        ("state keys", restored.keys, there.keys),
    ):
        yield ok(name, f"{mine} in the dump, {theirs} now")


def _counted(name: str, said: str, restored: int, there: int) -> CheckResult:
    """More in the dump is retention's work; fewer are missing."""
    if restored < there:
        return critical(name, f"{said}; the database has {there} there", _NOT_A_BACKUP)
    pruned = f"; {restored - there} of them pruned since" if restored > there else ""
    return ok(name, said + pruned)


def _end(name: str, restored: "Ends", there: "Ends") -> CheckResult:
    if there.last_id == restored.last_id and there.last != restored.last:
        said = f"{restored.last}; the database has {there.last}"
        return critical(name, said, "is it a dump of this database?")
    return ok(name, f"{restored.last_id}: {restored.last}")
