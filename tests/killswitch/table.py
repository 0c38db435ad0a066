"""The table of copies (stop-stores.json): what its words mean, for the tests that go by it."""

import json
import re
from pathlib import Path
from typing import NamedTuple

from orchestrator.killswitch.foreign import row_identity
from orchestrator.killswitch.latch import LATCH_NAME, Latch
from orchestrator.killswitch.readings import Reading, away, found, hidden
from orchestrator.protocol.document import write_document
from orchestrator.protocol.trips import Release, Stop, stop_of
from stops import AT, LATER, stop

CASES = json.loads(Path(__file__).with_name("stop-stores.json").read_text())["cases"]
FOREIGN = '{"enabled": true, "reason": "x"}'
XMIN = "7001"
OLD = {"enabled": False, "revision": 3, "trips": [], "released_trips": [], "reason": None}
OLD_TRIP = {"trip_id": "A", "reason": "why", "triggered_by": "anna", "at": AT}


def document(text: str, row: bytes = FOREIGN.encode(), xmin: str = XMIN) -> Stop:
    """active(A), released(A): as in the table; S is the trip of a row by another program."""
    kind, name = re.fullmatch(r"(active|released)\((\w)\).*", text, re.DOTALL).groups()
    if name == "S":  # this very row
        mark = row_identity(row, xmin)
        return stop_of(releases=[Release("S", LATER, identity=mark)])
    return stop(name) if kind == "active" else stop(released=(name,))


def remote(text: str) -> Reading:
    """A row or a key as the table says it."""
    if text.startswith("{"):
        return found(text, xmin=XMIN)
    if text.startswith("our document of released A with enabled: true"):
        data = write_document(stop(released=("A",)))
        return found(data.replace(b'"enabled":false', b'"enabled":true'), xmin=XMIN)
    if text.startswith("old format"):
        engaged = {"enabled": True, "trips": [OLD_TRIP], "trip_id": "A"}
        return found(json.dumps(OLD | (engaged if "trip A" in text else {})), xmin=XMIN)
    fixed = {
        "absent": Reading(),
        "empty": found(write_document(Stop())),
        "away": away("connection refused"),
        "hidden by row security": hidden("no row is visible"),
        "damaged": found("dam\0aged", xmin=XMIN),
    }
    return fixed[text] if text in fixed else found(write_document(document(text)))


def latched(text: str, folder: Path, state: Stop | None = None) -> Reading:
    """A latch as the table says it, made on disk; ``state`` instead of what the text means."""
    latch, path = Latch(folder), folder / LATCH_NAME
    if text.startswith("absent"):
        return latch.read()
    if text == "a directory":
        path.mkdir()
        return latch.read()
    if text == "valid checksum, alien JSON":
        latch._own.write(b'{"hello": "world"}')
        return latch.read()
    torn = re.fullmatch(r"one slot torn, the other (.*)", text)
    plain = {"empty", "damaged"}
    meant = Stop() if text in plain else document(torn[1] if torn else text)
    state = meant if state is None else state
    latch.write(state, resolved=True)
    if torn:
        latch.write(state, resolved=True)
    if torn or text == "damaged":
        data = bytearray(path.read_bytes())
        data[100] ^= 1
        path.write_bytes(data)
    return latch.read()


class Expected(NamedTuple):
    """What is in force, by the table."""

    status: str
    """``active``, ``inactive``, ``unknown``."""
    names: set[str]
    """Of trips that a copy holds."""
    damages: set[str]
    """Of trips that are made of damage: ``damage:<copy>``."""
    is_foreign: bool
    """Whether one is made of another program's row."""


def expected(case: dict[str, str]) -> Expected:
    """The last column."""
    match = re.fullmatch(r"(active|inactive|unknown)(.*)", case["then"])
    assert match is not None
    names = set(re.findall(r"\b[ABG]\b", re.sub(r"\(a .*\)", "", match[2])))
    damages = set(re.findall(r"damage:\w+", match[2]))
    is_foreign = match[1] == "active" and not names and not damages
    return Expected(match[1], names, damages, is_foreign)
