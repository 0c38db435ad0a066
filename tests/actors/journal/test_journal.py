import errno
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from orchestrator.actors.journal.journal import (
    DAMAGED_KEPT,
    Journal,
    JournalFull,
    JournalSettings,
    JournalUnavailable,
)
from orchestrator.actors.journal.record_format import Record, RecordKind
from orchestrator.actors.sources import Run
from quiet_clock import quiet_s

SMALL = JournalSettings(segment_bytes=4096)


def wait_until(condition: Callable[[], object], limit_s: float = 10.0) -> None:
    end = quiet_s() + limit_s
    while not condition():
        assert quiet_s() < end
        time.sleep(0.002)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def opened(folder: Path) -> Iterator[Any]:
    """A function that opens the folder as the next daemon would; all are closed at the end."""
    journals: list[Journal] = []

    def open_again(settings: JournalSettings | None = None) -> Journal:
        while journals:
            journals.pop().close()
        journals.append(Journal(folder, settings))
        journals[-1].open()
        return journals[-1]

    yield open_again
    while journals:
        journals.pop().close()


def record(number: int, rows: int = 3, size: int = 10) -> Record:
    body = b"".join(b"type\tsource\tnow\t%b\n" % (b"x" * size) for _ in range(rows))
    ranges = ((number * 100, number * 100 + rows - 1),)
    return Record(number, RecordKind.EVENTS, rows, body, ranges, runs=(Run("data", rows),))


def fill(journal: Journal, numbers: range, **arguments: int) -> None:
    for number in numbers:
        assert journal.append(record(number, **arguments))


def numbers_behind(journal: Journal, after: int = 0) -> list[int]:
    reader = journal.reader(after=after)
    return [found.number for found in iter(reader.next, None)]


def settle(journal: Journal) -> None:
    """Wait until the worker has done all it was given."""
    journal.work(lambda: None)


def test_what_was_appended_is_read_back_in_order_by_the_next_daemon(opened: Any) -> None:
    fill(opened(SMALL), range(1, 101))

    journal = opened(SMALL)

    assert journal.report.records == 100
    assert journal.head.last_number == 100
    assert journal.head.highest_id == 10002
    assert journal.pending_rows == 300
    assert len(journal.segments) > 2
    assert numbers_behind(journal) == list(range(1, 101))
    assert numbers_behind(journal, after=57) == list(range(58, 101))


def test_a_batch_offered_twice_counts_once(opened: Any) -> None:
    journal = opened()
    fill(journal, range(1, 3))

    assert not journal.append(record(2))
    assert numbers_behind(journal) == [1, 2]
    assert journal.head.rows_total == 6


def test_a_reader_goes_on_where_it_stopped_while_records_are_appended(opened: Any) -> None:
    journal = opened(SMALL)
    reader = journal.reader(after=0)
    seen = []
    for number in range(1, 200):
        journal.append(record(number))
        if number % 3 == 0:
            seen += [found.number for found in iter(reader.next, None)]

    seen += [found.number for found in iter(reader.next, None)]
    assert seen == list(range(1, 200))
    assert reader.next() is None


def test_a_new_daemon_writes_a_new_segment(opened: Any, folder: Path) -> None:
    fill(opened(), range(1, 3))
    fill(opened(), range(3, 5))

    assert len(list(folder.glob("*.seg"))) == 2
    assert numbers_behind(opened()) == [1, 2, 3, 4]


def test_segments_go_when_all_they_hold_is_committed(opened: Any, folder: Path) -> None:
    journal = opened(SMALL)
    fill(journal, range(1, 101))
    before = len(list(folder.glob("*.seg")))

    journal.commit(50, committed_id=5002, rows_through=150)
    settle(journal)

    left = sorted(folder.glob("*.seg"))
    assert len(left) < before
    assert int(left[0].stem) <= 51
    assert numbers_behind(journal, after=50) == list(range(51, 101))
    journal = opened(SMALL)
    assert journal.head.committed_number == 50
    assert journal.head.committed_id == 5002
    assert journal.pending_rows == 150
    assert journal.report.missing_records == 0


def test_when_all_is_committed_the_next_start_deletes_all(opened: Any, folder: Path) -> None:
    journal = opened()
    fill(journal, range(1, 5))
    journal.commit(3, committed_id=302, rows_through=9)
    journal.commit(4, committed_id=402, rows_through=12)
    settle(journal)

    journal = opened()

    assert list(folder.glob("*.seg")) == []
    assert journal.pending_rows == 0
    assert journal.head.last_number == 4
    assert opened().head.last_at_ms > 1_700_000_000_000
    fill(opened(), range(5, 6))


def test_a_commit_never_goes_backwards(opened: Any) -> None:
    journal = opened()
    fill(journal, range(1, 5))
    journal.commit(4, committed_id=402, rows_through=12)
    journal.commit(2, committed_id=202)
    settle(journal)

    assert journal.head.committed_number == 4
    assert journal.head.committed_id == 402


def test_beyond_its_size_it_refuses_and_takes_again_after_a_commit(opened: Any) -> None:
    journal = opened(JournalSettings(segment_bytes=16_384, max_bytes=65_536))
    with pytest.raises(JournalFull, match="of at most 65536 B"):
        fill(journal, range(1, 100), size=1000)
    number = journal.head.last_number + 1

    assert journal.size_bytes <= 65_536
    journal.commit(number - 1, committed_id=number * 100)
    settle(journal)
    assert journal.append(record(number, size=1000))


def test_a_record_beyond_the_formats_limit_is_refused(opened: Any) -> None:
    journal = opened()

    with pytest.raises(JournalUnavailable):
        journal.append(Record(1, RecordKind.EVENTS, 1, bytes(70 * 1024 * 1024)))
    assert journal.append(record(1))


@pytest.mark.parametrize(
    ("number", "error"), [(errno.ENOSPC, JournalFull), (errno.EIO, JournalUnavailable)]
)
def test_a_disk_that_fails_half_way_leaves_no_trace(
    opened: Any, monkeypatch: pytest.MonkeyPatch, number: int, error: type[Exception]
) -> None:
    journal = opened()
    fill(journal, range(1, 3))

    def half(file: int, parts: tuple[bytes, ...], offset: int) -> int:
        return os.pwrite(file, b"".join(parts)[:20], offset)

    def fail(*_arguments: object) -> int:
        raise OSError(number, "no")

    with monkeypatch.context() as patched:
        patched.setattr("os.pwritev", half)
        assert journal.append(record(3))
        patched.setattr("os.pwritev", fail)
        with pytest.raises(error):
            journal.append(record(4))
    assert journal.append(record(4))

    assert numbers_behind(opened()) == [1, 2, 3, 4]


def test_on_a_full_disk_appends_are_refused_until_there_is_room(tmp_path: Path) -> None:
    small_disk = tmp_path / "disk"
    small_disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "none", small_disk],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("no tmpfs may be mounted here")
    try:
        journal = Journal(small_disk / "journal", SMALL)
        journal.open()
        with pytest.raises(JournalFull):
            fill(journal, range(1, 1000), size=1000)
        number = journal.head.last_number + 1
        journal.commit(number - 1, committed_id=1)
        settle(journal)
        fill(journal, range(number, number + 5))
        assert numbers_behind(journal, after=number - 1) == list(range(number, number + 5))
        journal.close()
    finally:
        subprocess.run(["umount", small_disk], check=True)


@pytest.mark.parametrize("interval", [0, 1])
def test_appends_are_synced_by_the_setting(
    opened: Any, monkeypatch: pytest.MonkeyPatch, interval: int
) -> None:
    synced: list[int] = []
    original = os.fdatasync
    monkeypatch.setattr("os.fdatasync", lambda file: (synced.append(file), original(file)))
    journal = opened(JournalSettings(fsync_interval_ms=interval))

    fill(journal, range(1, 4))

    wait_until(lambda: len(synced) >= (1 if interval else 3))


def test_a_sync_that_fails_is_counted(opened: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = opened(JournalSettings(fsync_interval_ms=1))

    def fail(_file: int) -> None:
        raise OSError(errno.EIO, "no")

    monkeypatch.setattr("os.fdatasync", fail)
    fill(journal, range(1, 2))

    wait_until(lambda: journal.disk_errors == 1)


def test_a_sync_that_comes_after_the_end_does_nothing(opened: Any) -> None:
    journal = opened()

    journal._sync()

    assert journal.disk_errors == 0


def test_a_damaged_segment_is_set_aside_not_deleted(opened: Any, folder: Path) -> None:
    fill(opened(SMALL), range(1, 101))
    victim = min(folder.glob("*.seg"))
    data = bytearray(victim.read_bytes())
    data[500] ^= 1
    victim.write_bytes(data)

    journal = opened(SMALL)
    assert journal.report.damaged_places == 1
    assert journal.report.missing_records == 1
    assert journal.report.missing_rows == 3
    assert len(numbers_behind(journal)) == 99

    journal.commit(100, committed_id=1)
    settle(journal)
    assert (folder / "damaged" / victim.name).read_bytes() == data
    for number in range(1000, 1000 + DAMAGED_KEPT):
        (folder / "damaged" / f"{number:020d}.seg").touch()
    last = folder / f"{2000:020d}.seg"
    last.touch()
    journal._set_aside(last)
    assert len(list((folder / "damaged").iterdir())) == DAMAGED_KEPT


def test_cut_at_any_of_its_last_bytes_it_starts_and_counts_what_is_gone(
    opened: Any, folder: Path
) -> None:
    fill(opened(), range(1, 41), rows=5)
    segment = next(folder.glob("*.seg"))
    original = segment.read_bytes()

    for cut in range(1, 4097, 7):
        segment.write_bytes(original[:-cut])
        journal = opened()
        found = numbers_behind(journal)
        assert found == list(range(1, len(found) + 1))
        assert journal.report.missing_records == 40 - len(found)
        assert journal.report.missing_rows == 5 * (40 - len(found))
        assert journal.head.last_number == 40


@pytest.mark.parametrize("seed", range(40))
def test_a_flipped_bit_anywhere_is_counted_and_never_silent(
    opened: Any, folder: Path, seed: int
) -> None:
    fill(opened(SMALL), range(1, 41))
    chance = random.Random(seed)
    segment = chance.choice(sorted(folder.glob("*.seg")))
    data = bytearray(segment.read_bytes())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    segment.write_bytes(data)

    journal = opened(SMALL)

    assert len(numbers_behind(journal)) == 39
    assert journal.report.damaged_places == 1
    assert journal.report.missing_records == 1
    assert journal.append(record(41))


def test_a_segment_whose_first_append_was_cut_short_gives_its_name_back(
    opened: Any, folder: Path
) -> None:
    fill(opened(), range(1, 4))
    torn = folder / f"{4:020d}.seg"
    torn.write_bytes(next(folder.glob("*.seg")).read_bytes()[:50])
    (folder / "notes.seg").touch()

    journal = opened()
    assert journal.report.torn_bytes == 50
    fill(journal, range(4, 6))
    journal.commit(3, committed_id=302, rows_through=9)
    settle(journal)

    assert numbers_behind(opened(), after=3) == [4, 5]


def test_without_its_head_everything_is_replayed(opened: Any, folder: Path) -> None:
    journal = opened()
    fill(journal, range(1, 11))
    journal.commit(5, committed_id=502, rows_through=15)
    settle(journal)
    (folder / "head").write_bytes(b"nonsense")

    journal = opened()

    assert journal.report.head_lost
    assert journal.head.last_number == 10
    assert numbers_behind(journal, after=journal.head.committed_number) == list(range(1, 11))


def test_a_reader_passes_over_what_is_damaged_after_opening(opened: Any, folder: Path) -> None:
    journal = opened()
    fill(journal, range(1, 4))
    segment = next(folder.glob("*.seg"))
    data = bytearray(segment.read_bytes())
    data[30] ^= 1
    segment.write_bytes(data)

    assert numbers_behind(journal) == [2, 3]


def test_what_a_reader_finds_damaged_is_set_aside(opened: Any, folder: Path) -> None:
    journal = opened(SMALL)
    fill(journal, range(1, 101))
    victim, gone = sorted(folder.glob("*.seg"))[:2]
    data = bytearray(victim.read_bytes())
    data[-10] ^= 1
    victim.write_bytes(data)
    behind = sorted(folder.glob("*.seg"))[2]
    gone.rename(folder / "elsewhere")
    gone.mkdir()

    read = numbers_behind(journal)
    journal.commit(100, committed_id=1)
    settle(journal)

    last_of_victim, last_of_gone = (int(path.stem) - 1 for path in (gone, behind))
    assert read == [*range(1, last_of_victim), *range(last_of_gone + 1, 101)]
    assert {path.name for path in (folder / "damaged").iterdir()} == {victim.name, gone.name}
    assert (folder / "damaged" / victim.name).read_bytes() == data


def test_what_was_cut_short_before_it_counted_is_not_set_aside(opened: Any, folder: Path) -> None:
    journal = opened(SMALL)
    fill(journal, range(1, 101))
    torn = min(folder.glob("*.seg"))
    torn.write_bytes(torn.read_bytes() + b"cut")
    journal.segments[0].size_bytes += 3

    assert numbers_behind(journal) == list(range(1, 101))
    journal.commit(100, committed_id=1)
    settle(journal)
    assert not (folder / "damaged").exists()
    assert not torn.exists()


def test_damage_at_the_very_end_is_set_aside_too(opened: Any, folder: Path) -> None:
    journal = opened()
    fill(journal, range(1, 4))
    segment = next(folder.glob("*.seg"))
    segment.write_bytes(segment.read_bytes()[:-1] + b"?")

    assert numbers_behind(journal) == [1, 2]
    assert [one.damaged for one in journal.segments] == [True]


def test_what_the_disk_does_not_give_now_is_read_later(opened: Any) -> None:
    journal = opened(SMALL)
    fill(journal, range(1, 101))
    reader = journal.reader(after=0)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            reader.next()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    assert [found.number for found in iter(reader.next, None)] == list(range(1, 101))
    assert not any(segment.damaged for segment in journal.segments)


APPENDER = """
from gevent import monkey; monkey.patch_all()
import sys
import time
from pathlib import Path
from orchestrator.actors.journal.journal import Journal, JournalSettings
from orchestrator.actors.journal.record_format import Record, RecordKind

journal = Journal(Path(sys.argv[1]), JournalSettings(segment_bytes=65536))
journal.open()
number = journal.head.last_number
while True:
    number += 1
    body = b"row %d\\n" % number * 200
    journal.append(Record(number, RecordKind.EVENTS, 200, body, ((number, number),)))
    print(number, flush=True)
"""


@pytest.mark.subprocess
def test_what_counted_before_kill_9_is_there_afterwards(opened: Any, folder: Path) -> None:
    acknowledged = 0
    for round_ in range(1, 6):
        process = subprocess.Popen(
            [sys.executable, "-c", APPENDER, str(folder)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        said = [process.stdout.readline() for _line in range(round_ * 37)]
        process.kill()
        said += process.stdout.read().splitlines(keepends=True)
        acknowledged = max(int(line) for line in said if line.endswith("\n"))
        process.stdout.close()
        process.wait(timeout=10)

    journal = opened()
    found = numbers_behind(journal)
    assert len(found) >= acknowledged
    assert found == list(range(1, len(found) + 1))
    assert journal.report.damaged_places == journal.report.missing_records == 0


def test_a_folder_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    journal = Journal(tmp_path / "file" / "journal")

    with pytest.raises(OSError, match="file"):
        journal.open()
    journal.close()


def test_the_folder_is_private(opened: Any, folder: Path) -> None:
    fill(opened(), range(1, 2))

    assert folder.stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())
    shutil.rmtree(folder)


# -- opened at its end, and surveyed beside the writing --------------------------------------------


@pytest.fixture
def at_end(folder: Path) -> Iterator[Any]:
    """A function that opens the folder as a daemon does: the survey comes later."""
    journals: list[Journal] = []

    def open_end(settings: JournalSettings | None = None) -> Journal:
        journals.append(Journal(folder, settings))
        journals[-1].open_end()
        return journals[-1]

    yield open_end
    while journals:
        journals.pop().close()


def rows_behind(journal: Journal) -> int:
    return sum(found.rows for found in iter(journal.reader(after=0).next, None))


def test_the_end_tells_where_to_go_on_without_the_rest_being_read(
    opened: Any, at_end: Any, folder: Path
) -> None:
    fill(opened(SMALL), range(1, 101))
    opened(SMALL).close()
    segments = sorted(folder.glob("*.seg"))
    for segment in segments[:-1]:
        segment.write_bytes(bytes(segment.stat().st_size))

    journal = at_end(SMALL)

    assert (journal.head.last_number, journal.head.highest_id) == (100, 10002)
    assert journal.pending_rows == 300
    assert journal.bare_from is None
    assert journal.report.records == 0
    fill(journal, range(101, 111))
    found = journal.survey()
    assert journal.report.missing_records == int(segments[-1].stem) - 1
    assert journal.report.missing_rows == 3 * journal.report.missing_records
    assert found.uncommitted.total() + journal.report.missing_rows == 300
    assert numbers_behind(journal) == list(range(int(segments[-1].stem), 111))


def test_no_segment_goes_before_all_of_them_are_surveyed(
    opened: Any, at_end: Any, folder: Path
) -> None:
    fill(opened(SMALL), range(1, 101))
    journal = at_end(SMALL)
    before = len(list(folder.glob("*.seg")))

    journal.commit(100, committed_id=10002, rows_through=300)
    settle(journal)
    assert len(list(folder.glob("*.seg"))) == before

    journal.survey()
    assert list(folder.glob("*.seg")) == []


def test_cut_anywhere_at_its_end_it_goes_on_writing_and_the_survey_counts_what_is_gone(
    opened: Any, at_end: Any, folder: Path
) -> None:
    fill(opened(SMALL), range(1, 41), rows=5)
    opened(SMALL).close()
    original = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    ends = sorted(path for path in original if path.suffix == ".seg")

    for cut in range(1, 4097, 61):
        for path, data in original.items():
            path.write_bytes(data)
        left = cut
        for path in reversed(ends):
            size = len(original[path])
            path.write_bytes(original[path][: max(0, size - left)])
            left -= min(size, left)
        journal = at_end(SMALL)
        fill(journal, range(41, 44), rows=5)
        journal.survey()

        found = numbers_behind(journal)
        gone = 43 - len(found)
        assert found[-3:] == [41, 42, 43]
        assert journal.report.missing_records == gone
        assert journal.report.missing_rows == 5 * gone
        journal.close()
        for path in folder.glob("*.seg"):
            path.unlink()


@pytest.mark.parametrize("seed", range(40))
def test_a_flipped_bit_anywhere_hinders_no_writing_and_is_counted_by_the_survey(
    opened: Any, at_end: Any, folder: Path, seed: int
) -> None:
    fill(opened(SMALL), range(1, 41))
    chance = random.Random(seed)
    victim = chance.choice([*sorted(folder.glob("*.seg")), folder / "head"])
    data = bytearray(victim.read_bytes())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    victim.write_bytes(data)

    journal = at_end(SMALL)
    assert journal.head.highest_id == 4002
    fill(journal, range(41, 44))
    journal.survey()

    damaged = victim.suffix == ".seg"
    assert journal.report.damaged_places == journal.report.missing_records == int(damaged)
    assert rows_behind(journal) + journal.report.missing_rows == 43 * 3


def test_a_segment_that_the_disk_does_not_give_back_is_damaged(
    opened: Any, at_end: Any, folder: Path
) -> None:
    fill(opened(SMALL), range(1, 101))
    victim = sorted(folder.glob("*.seg"))[1]
    journal = at_end(SMALL)
    victim.rename(folder / "elsewhere")
    victim.mkdir()

    journal.survey()

    assert journal.report.damaged_places == 1
    assert journal.report.missing_rows == 3 * journal.report.missing_records > 0
    victim.rmdir()


def test_records_without_ids_at_the_end_are_known_at_once(opened: Any, at_end: Any) -> None:
    journal = opened(SMALL)
    fill(journal, range(1, 60))
    for number in range(60, 100):
        journal.append(Record(number, RecordKind.EVENTS, 1, b"row\n"))

    journal = at_end(SMALL)
    assert journal.bare_from is not None
    assert journal.bare_from >= 60
    assert journal.survey().unassigned == list(range(60, 100))


def test_without_its_head_the_end_says_where_to_go_on(
    opened: Any, at_end: Any, folder: Path
) -> None:
    journal = opened(SMALL)
    fill(journal, range(1, 101))
    journal.commit(50, committed_id=5002, rows_through=150)
    settle(journal)
    first = int(min(folder.glob("*.seg")).stem)
    (folder / "head").write_bytes(b"nonsense")

    journal = at_end(SMALL)

    assert journal.head.last_number == 100
    assert journal.head.highest_id == 10002
    assert journal.pending_rows == 3 * (101 - first)
    fill(journal, range(101, 103))
    assert journal.survey().report.head_lost


def test_batches_that_were_given_up_are_no_damage(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.open()
    for number in (1, 2, 900):
        journal.append(
            Record(number, RecordKind.EVENTS, 1, b"t.a\t\\N\tx\t{}\n", ((number, number),))
        )
    journal.close()

    again = Journal(tmp_path)
    report = again.open()
    reader = again.reader(after=0)
    numbers = [record.number for record in iter(reader.next, None)]
    again.close()

    assert (report.records, report.missing_records, report.missing_rows) == (3, 0, 0)
    assert numbers == [1, 2, 900]
