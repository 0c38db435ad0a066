"""What a daemon leaves in its data directory, whether it runs or not."""

import json
from pathlib import Path
from typing import Any, Final

from ..errors import Failure
from ..local_settings import missing_extra

MAX_JOURNAL_BYTES: Final = 512 * 1024 * 1024
"""Some 3 s of reading; a larger one is only counted."""
MAX_AUDIT_BYTES: Final = 16 * 1024 * 1024


def journal(data: Path) -> dict[str, Any]:
    """Files and sizes of the journal, and what of it is not in PostgreSQL, as far as it is small.

    Raises:
        Failure: it cannot be read.
    """
    try:
        import msgspec

        from ...actors.journal.inspection import inspect

        folder = data / "journal"
        files = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
        found = inspect(folder) if sum(files.values()) <= MAX_JOURNAL_BYTES else None
        return {"files": files, "found": None if found is None else msgspec.to_builtins(found)}
    except ModuleNotFoundError as error:
        raise missing_extra(error, "daemon") from error
    except OSError as error:
        raise _unreadable(error) from error


def latch(data: Path) -> dict[str, Any]:
    """The stop as the daemon and its guard have it on disk.

    Raises:
        Failure: it cannot be read.
    """
    from ...killswitch.latch import Latch

    try:
        files = Latch(data)
        readings = {"daemon": files.read(), "guard": files.read_guard()}
    except OSError as error:
        raise _unreadable(error) from error
    return {
        name: {
            "condition": str(reading.condition),
            "why": reading.why,
            "documents": [_document(body) for body in reading.documents],
        }
        for name, reading in readings.items()
    }


def pending_acts(data: Path) -> str:
    """Acts that are not in PostgreSQL yet, a JSON object a line.

    Raises:
        Failure: they cannot be read.
    """
    try:
        with (data / "audit.pending").open("rb") as file:
            return file.read(MAX_AUDIT_BYTES).decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise _unreadable(error) from error


def _document(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")


def _unreadable(error: OSError) -> Failure:
    return Failure(
        "the data directory cannot be read",
        code="data_unreadable",
        cause=f"{error.filename or ''}: {error.strerror or error}".lstrip(": "),
        advice="run this as the daemon's user",
    )
