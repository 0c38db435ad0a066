"""Files of events: JSON lines, CSV, Parquet. Each can be gone on with where it was broken off."""

import csv
import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from ..errors import Failure
from ..local_settings import missing_extra

if TYPE_CHECKING:
    from ...sql.events.event_reader import EventRow

FIELDS = ("id", "type", "payload", "ts", "source", "processed")
ROW_GROUP_ROWS = 100_000
"""Rows of one part of a Parquet file; so many are held in memory."""


class EventFile(Protocol):
    """Where events go."""

    def write(self, events: "list[EventRow]") -> bool:
        """Take in events, in order; whether all so far is written (and may be told)."""

    def at(self) -> dict[str, int]:
        """Where it is after all that was written: how to go on."""

    def finish(self) -> None:
        """Write what is left and close."""

    def close(self) -> None:
        """Close it as it is."""


class LineFile:
    """JSON lines or CSV, a line (or a record) for each event.

    Args:
        path: the file; None: stdout.
        encode: events to bytes.
        heading: what comes first of all.
        start: how many bytes of what is there are good; None: begin anew.
    """

    def __init__(
        self,
        path: Path | None,
        encode: "Callable[[list[EventRow]], bytes]",
        heading: bytes,
        start: int | None,
    ) -> None:
        self._encode = encode
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
        if start is None:
            self._put(heading)

    def write(self, events: "list[EventRow]") -> bool:
        """As `EventFile`; on return the operating system has it all."""
        if events:
            self._put(self._encode(events))
            self._file.flush()
        return True

    def _put(self, data: bytes) -> None:
        self._file.write(data)
        self._bytes += len(data)

    def at(self) -> dict[str, int]:
        """How many bytes there are."""
        return {"bytes": self._bytes}

    def finish(self) -> None:
        """Close, all of it written."""
        self._file.close()

    close = finish


def as_json_lines(events: "list[EventRow]") -> bytes:
    """A line for each event, with the fields that `GET /bus/events` has."""
    import msgspec

    return b"".join(msgspec.json.encode(event) + b"\n" for event in events)


def as_csv(events: "list[EventRow]") -> bytes:
    """A record for each event; the payload is JSON."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for event in events:
        payload = bytes(event.payload).decode()
        done = json.dumps(event.processed)
        writer.writerow([event.id, event.type, payload, event.ts, event.source, done])
    return text.getvalue().encode()


class ParquetFile:
    """Parquet, by way of a folder of parts beside it, which are joined at the end.

    (A Parquet file says at its end what is in it, so that it cannot be gone on with itself.)

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
        self._waiting: list[EventRow] = []
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
        """As `EventFile`; a part is written when it is full."""
        self._waiting += events
        if len(self._waiting) >= ROW_GROUP_ROWS:
            self._write_part()
        return not self._waiting

    def _write_part(self) -> None:
        part = self._folder / f"{self._parts:06}"
        fresh = part.with_suffix(".new")
        self._arrow.parquet.write_table(self._table(self._waiting), fresh)
        fresh.replace(part)
        self._parts += 1
        self._waiting = []

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
        """How many parts there are."""
        return {"parts": self._parts}

    def finish(self) -> None:
        """Write the last part, and join them all, one at a time in memory."""
        if self._waiting or not self._parts:
            self._write_part()
        parquet = self._arrow.parquet
        fresh = self._path.with_name(self._path.name + ".new")
        with parquet.ParquetWriter(fresh, self._schema) as writer:
            for number in range(self._parts):
                writer.write_table(parquet.read_table(self._folder / f"{number:06}"))
        fresh.replace(self._path)
        shutil.rmtree(self._folder, ignore_errors=True)

    def close(self) -> None:
        """Leave the parts for the next time."""


def open_file(path: Path | None, kind: str, at: dict[str, int] | None) -> EventFile:
    """Open a file of a kind (`jsonl`, `csv`, `parquet`), anew or where it was left.

    Raises:
        Failure: it cannot be opened.
    """
    try:
        if kind == "parquet":
            assert path is not None  # noqa: S101 the command has seen to that
            return ParquetFile(path, None if at is None else at["parts"])
        start = None if at is None else at["bytes"]
        if kind == "csv":
            heading = (",".join(FIELDS) + "\n").encode()
            return LineFile(path, as_csv, heading, start)
        return LineFile(path, as_json_lines, b"", start)
    except OSError as error:
        raise Failure(
            f"cannot write {path}", code="unwritable", cause=error.strerror or str(error)
        ) from error
