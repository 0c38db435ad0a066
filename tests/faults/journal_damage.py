"""A journal that was cut or changed behind its daemon's back: it opens, and counts what is gone."""

import random
import shutil
import tempfile
from pathlib import Path

from orchestrator.actors.journal.journal import Journal, JournalSettings
from orchestrator.actors.journal.record_format import Record, RecordKind
from orchestrator.actors.sources import Run

from .rig import Outcome

ROWS = 5
RECORDS = 200
SETTINGS = JournalSettings(segment_bytes=16_384)


def _made(folder: Path) -> None:
    journal = Journal(folder, SETTINGS)
    journal.open()
    for number in range(1, RECORDS + 1):
        body = b"".join(b"t\ts\tnow\t%08d-%d\n" % (number, row) for row in range(ROWS))
        first = number * ROWS
        ranges = ((first, first + ROWS - 1),)
        journal.append(
            Record(number, RecordKind.EVENTS, ROWS, body, ranges, runs=(Run("data", ROWS),))
        )
    journal.close()


def _opened(folder: Path, outcome: Outcome) -> tuple[int, Journal]:
    """What is left must be whole, and what is missing counted to the row."""
    journal = Journal(folder, SETTINGS)
    journal.open()
    reader = journal.reader(after=0)
    rows = 0
    while (record := reader.next()) is not None:
        wanted = b"".join(b"t\ts\tnow\t%08d-%d\n" % (record.number, row) for row in range(ROWS))
        outcome.twice += record.body != wanted
        rows += record.rows
    journal.close()
    said = journal.report.missing_rows
    outcome.received += RECORDS * ROWS
    outcome.stored += rows
    outcome.dropped += said
    outcome.lost += RECORDS * ROWS - rows - said
    outcome.runs += 1
    outcome.faults += 1
    return rows, journal


def truncated(*, seed: int, cuts: int) -> Outcome:
    """Cut at each of the last bytes; ``seed`` decides where a second cut goes."""
    outcome = Outcome(f"journal cut, last {cuts} bytes", runs=0)
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        original, folder = Path(name) / "original", Path(name) / "journal"
        _made(original)
        for cut in range(1, cuts + 1):
            shutil.copytree(original, folder)
            _cut_end(folder, cut)
            _opened(folder, outcome)
            if chance.random() < 0.05:  # and once more: cut again before anything was written
                _cut_end(folder, chance.randrange(1, 200))
                _opened(folder, outcome)
            shutil.rmtree(folder)
    return outcome


def _cut_end(folder: Path, size: int) -> None:
    for path in sorted(folder.glob("*.seg"), reverse=True):
        held = path.stat().st_size
        with path.open("r+b") as file:
            file.truncate(max(0, held - size))
        size -= held
        if size <= 0:
            return


def flipped(*, seed: int, flips: int) -> Outcome:
    """A bit turned over anywhere in a segment, or in the head."""
    outcome = Outcome("journal, flipped bits", runs=0)
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        original, folder = Path(name) / "original", Path(name) / "journal"
        _made(original)
        for _ in range(flips):
            shutil.copytree(original, folder)
            _flip(folder, chance)
            rows, journal = _opened(folder, outcome)
            if rows < RECORDS * ROWS and not journal.report.damaged_places:
                outcome.missed.append("damage was not counted")
            if chance.random() < 0.05:  # and once more, in what was set right
                _flip(folder, chance)
                _opened(folder, outcome)
            shutil.rmtree(folder)
    return outcome


def _flip(folder: Path, chance: random.Random) -> None:
    path = chance.choice([*sorted(folder.glob("*.seg")), folder / "head"])
    data = bytearray(path.read_bytes())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)
