import json
from pathlib import Path

import msgspec
import pytest
from orchestrator.cli.errors import Failure
from orchestrator.cli.offline.export_files import open_file
from orchestrator.sql.events.event_reader import EventRow

TS = "2026-01-31T09:30:00.123Z"


def event(event_id: int) -> EventRow:
    return EventRow(event_id, "a,b", msgspec.Raw(b'{"q": "\\"x\\""}'), TS, None, True)


def test_json_lines_hold_the_payload_as_json(tmp_path: Path) -> None:
    file = open_file(tmp_path / "x", "jsonl", None)
    file.write([event(7)])
    file.finish()

    (line,) = (tmp_path / "x").read_text().splitlines()

    assert json.loads(line) == {
        "id": 7,
        "type": "a,b",
        "payload": {"q": '"x"'},
        "ts": TS,
        "source": None,
        "processed": True,
    }


def test_what_was_written_after_the_checkpoint_is_truncated(tmp_path: Path) -> None:
    path = tmp_path / "x"
    file = open_file(path, "jsonl", None)
    file.write([event(1), event(2)])
    at = file.at()
    file.write([event(3)])
    file.close()

    file = open_file(path, "jsonl", at)
    file.write([event(4)])
    file.finish()

    whole = open_file(tmp_path / "y", "jsonl", None)
    whole.write([event(1), event(2), event(4)])
    whole.finish()
    assert path.read_bytes() == (tmp_path / "y").read_bytes()


def test_parquet_goes_on_with_its_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr("orchestrator.cli.offline.export_files.ROW_GROUP_ROWS", 2)
    file = open_file(tmp_path / "x", "parquet", None)
    assert file.write([event(1), event(2)])
    at = file.at()
    assert not file.write([event(3)])
    file.close()

    file = open_file(tmp_path / "x", "parquet", at)
    file.write([event(4), event(5)])
    file.finish()

    assert parquet.read_table(tmp_path / "x").column("id").to_pylist() == [1, 2, 4, 5]


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="cannot write"):
        open_file(tmp_path / "none" / "x", "jsonl", None)
