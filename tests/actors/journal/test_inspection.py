from pathlib import Path

import pytest
from orchestrator.actors.journal.inspection import inspect
from orchestrator.actors.journal.record_format import Head, Record, RecordKind, encode, encode_head
from orchestrator.actors.journal.survey import segment_name
from orchestrator.actors.sources import Run


def write(folder: Path, *numbers: int, last: int, committed: int = 0) -> None:
    folder.mkdir()
    records = [
        Record(
            number,
            RecordKind.EVENTS,
            2,
            b"row\nrow\n",
            ((number * 10, number * 10 + 1),),
            rows_before=(number - 1) * 2,
            runs=(Run("control", 1), Run("data", 1, 1)),
        )
        for number in numbers
    ]
    (folder / segment_name(numbers[0])).write_bytes(
        b"".join(part for record in records for part in encode(record))
    )
    head = Head(0, last, last * 10 + 1, last * 2, committed, committed * 10 + 1, committed * 2)
    (folder / "head").write_bytes(encode_head(head)[1])


def test_a_whole_journal_is_healthy_and_what_waits_is_told_by_source(tmp_path: Path) -> None:
    write(tmp_path / "journal", 1, 2, 3, last=3, committed=1)
    seen: list[tuple[int, int]] = []

    found = inspect(tmp_path / "journal", lambda done, all_of_it: seen.append((done, all_of_it)))

    assert found.healthy
    assert found.waiting == {"control": 2, "data": 2}
    assert (found.segments, found.last_record, found.committed_record) == (1, 3, 1)
    assert seen == [(found.size_bytes, found.size_bytes)]


def test_what_is_damaged_or_missing_is_told_and_nothing_is_touched(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    write(folder, 1, 2, 3, last=4)
    path = folder / segment_name(1)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)

    found = inspect(folder)

    assert not found.healthy
    assert (found.report.damaged_places, found.report.missing_records) == (1, 2)
    assert found.report.missing_rows == 4
    assert path.read_bytes() == data
    assert not (folder / "damaged").exists()


def test_without_a_folder_it_says_so_and_without_a_head_it_reads_on(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        inspect(tmp_path / "journal")
    write(tmp_path / "journal", 1, last=1)
    (tmp_path / "journal" / "head").unlink()

    assert inspect(tmp_path / "journal").report.head_lost
