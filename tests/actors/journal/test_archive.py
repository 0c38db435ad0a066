import errno
import os
from pathlib import Path
from typing import Any

import pytest
from orchestrator.actors.journal.archive import HOUR_S, KeptSegments
from orchestrator.actors.journal.journal import Journal, JournalSettings
from orchestrator.actors.journal.record_format import Record, RecordKind

NOW = 1_800_000_000.0


def segment(folder: Path, number: int, *, hours_ago: float = 0, size: int = 100) -> Path:
    path = folder / f"{number:020d}.seg"
    path.write_bytes(b"x" * size)
    os.utime(path, (NOW - hours_ago * HOUR_S,) * 2)
    return path


def kept_in(folder: Path, hours: float = 24, max_bytes: int = 10_000) -> KeptSegments:
    return KeptSegments(folder / "kept", hours * HOUR_S, max_bytes)


def names(folder: Path) -> list[int]:
    return sorted(int(path.stem) for path in (folder / "kept").glob("*.seg"))


def test_by_default_nothing_is_kept(tmp_path: Path) -> None:
    kept_in(tmp_path, hours=0).take(segment(tmp_path, 1))

    assert list(tmp_path.rglob("*.seg")) == []


def test_a_segment_goes_when_its_hours_are_over(tmp_path: Path) -> None:
    kept = kept_in(tmp_path)
    (tmp_path / "kept").mkdir()
    segment(tmp_path / "kept", 1, hours_ago=25)
    segment(tmp_path / "kept", 2, hours_ago=23)
    for path in sorted((tmp_path / "kept").glob("*.seg")):
        kept._note(path)

    kept.expire(NOW)
    assert names(tmp_path) == [2]

    kept.expire(NOW + 2 * HOUR_S)
    assert names(tmp_path) == []
    assert kept.size_bytes == 0


def test_beyond_the_bound_the_oldest_go(tmp_path: Path) -> None:
    kept = kept_in(tmp_path, hours=24 * 365 * 200, max_bytes=250)

    for number in range(1, 5):
        kept.take(segment(tmp_path, number))

    assert names(tmp_path) == [3, 4]


def test_an_empty_segment_is_not_worth_keeping(tmp_path: Path) -> None:
    kept_in(tmp_path).take(segment(tmp_path, 1, size=0))

    assert list(tmp_path.rglob("*.seg")) == []


def test_the_next_daemon_finds_what_was_kept(tmp_path: Path) -> None:
    long = 24 * 365 * 200
    kept_in(tmp_path, hours=long).take(segment(tmp_path, 1))

    again = kept_in(tmp_path, hours=long)
    again.open()

    assert again.size_bytes == 100
    assert again.give_up()
    assert names(tmp_path) == []
    assert not again.give_up()


def record(number: int) -> Record:
    return Record(
        number, RecordKind.EVENTS, 1, b"t\ts\tnow\t%b\n" % (b"x" * 5_000), ((number, number),)
    )


def fill(journal: Journal, numbers: range) -> None:
    for number in numbers:
        journal.append(record(number))
    journal.commit(numbers[-1], committed_id=numbers[-1], rows_through=numbers[-1])
    journal.work(lambda: None)


def test_committed_segments_are_kept_and_never_replayed(tmp_path: Path) -> None:
    settings = JournalSettings(segment_bytes=4096, keep_hours=1)
    journal = Journal(tmp_path, settings)
    journal.open()
    fill(journal, range(1, 6))
    journal.close()

    assert names(tmp_path) == [1, 2, 3, 4]
    again = Journal(tmp_path, settings)
    report = again.open()
    assert report.missing_records == 0
    assert again.reader(after=0).next() is None
    assert again.pending_rows == 0
    again.close()
    assert names(tmp_path) == [1, 2, 3, 4, 5]


def test_kept_segments_make_room_on_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path, JournalSettings(segment_bytes=4096, keep_hours=1))
    journal.open()
    fill(journal, range(1, 6))
    pwritev = os.pwritev

    def full_while_any_are_kept(*arguments: Any) -> int:
        if names(tmp_path):
            raise OSError(errno.ENOSPC, "no space")
        return pwritev(*arguments)

    monkeypatch.setattr(os, "pwritev", full_while_any_are_kept)

    assert journal.append(record(6))
    assert names(tmp_path) == []
    journal.close()
