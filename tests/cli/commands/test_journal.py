from pathlib import Path

from orchestrator.actors.journal.record_format import Head, Record, RecordKind, encode, encode_head
from orchestrator.actors.journal.survey import segment_name
from orchestrator.actors.sources import Run

from ..conftest import Orc


def journal(folder: Path) -> Path:
    folder.mkdir()
    record = Record(1, RecordKind.EVENTS, 2, b"r\nr\n", ((5, 6),), runs=(Run("data", 2),))
    (folder / segment_name(1)).write_bytes(b"".join(encode(record)))
    (folder / "head").write_bytes(encode_head(Head(0, 1, 6, 2))[1])
    return folder


def test_status_and_verify_read_a_stopped_daemons_folder(orc: Orc, tmp_path: Path) -> None:
    folder = journal(tmp_path / "journal")

    status = orc("journal", "status", "--folder", str(folder), "-o", "json")
    verified = orc("journal", "verify", "--folder", str(folder))

    assert status.code == verified.code == 0
    assert status.json["waiting"] == {"data": 2}
    assert status.json["healthy"] is True
    assert "whole" in verified.out


def test_verify_fails_on_damage_and_leaves_it_as_it_is(orc: Orc, tmp_path: Path) -> None:
    path = journal(tmp_path / "journal") / segment_name(1)
    path.write_bytes(path.read_bytes()[:-1] + b"X")

    verified = orc("journal", "verify", "--folder", str(path.parent))

    assert verified.code == 1
    assert "1 place" in verified.out
    assert path.read_bytes().endswith(b"X")


def test_no_journal_is_exit_code_five(orc: Orc, tmp_path: Path) -> None:
    done = orc("journal", "verify", "--folder", str(tmp_path / "nothing"))

    assert done.code == 5
    assert "does not exist" in done.err
