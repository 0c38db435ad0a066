"""Event files for export: JSON Lines and Parquet, both resumable."""

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from ..errors import Failure
from ..local_settings import missing_extra

if TYPE_CHECKING:
    from ...sql.events.event_reader import EventRow

ROW_GROUP_ROWS = 100_000
"""Rows per part of a Parquet file; at most this many are held in memory."""


class EventFile(Protocol):
    """A file that events are exported to."""

    def write(self, events: "list[EventRow]") -> bool:
        """Append events, in order. Returns whether everything so far is in the file."""

    def at(self) -> dict[str, int]:
        """The position after everything written; `open_file` resumes from it."""

    def finish(self) -> None:
        """Write the rest and close."""

    def close(self) -> None:
        """Close without writing the rest."""


class JsonLinesFile:
    """JSON Lines, one event per line, with the fields of `GET /bus/events`.

    Args:
        path: the file; None: stdout.
        start: length in bytes of the valid part of an existing file, whose rest is truncated;
            None: start a new file.
    """

    def __init__(self, path: Path | None, start: int | None) -> None:
        self._file: BinaryIO
        if path is None:
            self._file = os.fdopen(os.dup(1), "wb")
        elif start is None:
            self._file = path.open("wb")
        else:
            self._file = path.open("r+b")
            self._file.truncate(start)
            self._file.seek(start)
        self._bytes = start or 0

    def write(self, events: "list[EventRow]") -> bool:
        """See `EventFile`; on return everything has been passed to the operating system."""
        import msgspec

        data = b"".join(msgspec.json.encode(event) + b"\n" for event in events)
        self._file.write(data)
        self._file.flush()
        self._bytes += len(data)
        return True

    def at(self) -> dict[str, int]:
        """Length in bytes."""
        return {"bytes": self._bytes}

    def finish(self) -> None:
        """Close the file; everything has been written."""
        self._file.close()

    close = finish


class ParquetFile:
    """Parquet, written as parts into a folder next to the file and joined at the end.

    (A Parquet file's metadata is at its end, so the file itself cannot be resumed.)

    Raises:
        Failure: pyarrow is not installed.
    """

    def __init__(self, path: Path, parts: int | None) -> None:
        try:
            import pyarrow  # noqa: ICN001 - once
            import pyarrow.parquet
        except ModuleNotFoundError as error:
            raise missing_extra(error, "parquet") from error
        self._arrow: Any = pyarrow
        self._path = path
        self._folder = path.with_name(path.name + ".parts")
        if parts is None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(exist_ok=True)
        self._parts = parts or 0
        self._pending: list[EventRow] = []
        self._schema = pyarrow.schema(
            [
                ("id", pyarrow.int64()),
                ("type", pyarrow.string()),
                ("payload", pyarrow.string()),
                ("ts", pyarrow.timestamp("ms", tz="UTC")),
                ("source", pyarrow.string()),
                ("processed", pyarrow.bool_()),
            ]
        )

    def write(self, events: "list[EventRow]") -> bool:
        """See `EventFile`; a part is written when it is full."""
        self._pending += events
        if len(self._pending) >= ROW_GROUP_ROWS:
            self._write_part()
        return not self._pending

    def _write_part(self) -> None:
        part = self._folder / f"{self._parts:06}"
        from ...protocol.files import draft_of, replace_durably

        self._arrow.parquet.write_table(self._table(self._pending), draft_of(part))
        replace_durably(draft_of(part), part)  # before a checkpoint counts it
        self._parts += 1
        self._pending = []

    def _table(self, events: "list[EventRow]") -> Any:
        from ..formatting import read_iso

        columns = {
            "id": [event.id for event in events],
            "type": [event.type for event in events],
            "payload": [bytes(event.payload).decode() for event in events],
            "ts": [read_iso(event.ts) for event in events],
            "source": [event.source for event in events],
            "processed": [event.processed for event in events],
        }
        return self._arrow.table(columns, schema=self._schema)

    def at(self) -> dict[str, int]:
        """Number of complete parts."""
        return {"parts": self._parts}

    def finish(self) -> None:
        """Write the last part and join all parts, one at a time in memory."""
        from ...protocol.files import draft_of, replace_durably

        if self._pending or not self._parts:
            self._write_part()
        parquet = self._arrow.parquet
        draft = draft_of(self._path)
        with parquet.ParquetWriter(draft, self._schema) as writer:
            for number in range(self._parts):
                writer.write_table(parquet.read_table(self._folder / f"{number:06}"))
        replace_durably(draft, self._path)
        shutil.rmtree(self._folder, ignore_errors=True)

    def close(self) -> None:
        """Keep the parts for `--resume`."""


def open_file(path: Path | None, kind: str, at: dict[str, int] | None) -> EventFile:
    """Open an event file (`jsonl` or `parquet`), new or at a checkpoint's position.

    Raises:
        Failure: it cannot be opened.
    """
    try:
        if kind == "parquet":
            assert path is not None  # noqa: S101 checked by the command
            return ParquetFile(path, None if at is None else at["parts"])
        return JsonLinesFile(path, None if at is None else at["bytes"])
    except OSError as error:
        raise Failure(
            f"cannot write {path}", code="unwritable", cause=error.strerror or str(error)
        ) from error
