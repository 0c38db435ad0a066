"""`audit ls` against a small HTTP server; the real answers are in tests/http/api."""

from typing import Any

from ..conftest import Orc

ROWS: list[dict[str, Any]] = [
    {
        "id": f"01J{number}",
        "at": "2026-01-31T09:30:00.123Z",
        "action": "killswitch.release",
        "outcome": "refused" if number else "done",
        "actor": "anna",
        "role": "operator",
        "address": "10.0.0.1",
        "target": None,
        "reason": "=cmd()",
        "from": "halt all",
        "to": None,
        "trip_id": f"trip-{number}",
        "receipts": None,
        "detail": "d",
        "request_id": "r",
        "count": 1,
    }
    for number in (2, 1, 0)
]


def answer(*rows: dict[str, Any], more: bool = False, pending: int = 0) -> tuple[int, Any]:
    body = {"status": "ok", "timestamp": "", "audit": rows, "has_more": more, "pending": pending}
    return 200, body


def test_the_latest_come_last(orc: Orc, double: Any) -> None:
    double.answers["/audit"] = answer(*ROWS)

    done = orc("audit", "ls", ORCHESTRATOR_URL=double.url)

    heading, *lines = done.out.splitlines()
    assert heading.split()[:4] == ["TIME", "OUTCOME", "ACTION", "BY"]
    assert [line.split()[1] for line in lines] == ["done", "refused", "refused"]
    assert "anna" in lines[0]
    assert "halt all" in lines[0]


def test_programs_get_every_field(orc: Orc, double: Any) -> None:
    double.answers["/audit"] = answer(*ROWS)

    document = orc("audit", "ls", "-o", "json", ORCHESTRATOR_URL=double.url)
    table = orc("audit", "ls", "-o", "csv", ORCHESTRATOR_URL=double.url)
    names = orc("audit", "ls", "-o", "name", ORCHESTRATOR_URL=double.url)

    assert document.json["kind"] == "audit"
    assert document.json["items"] == ROWS[::-1]
    assert names.out.split() == ["01J0", "01J1", "01J2"]
    assert table.out.splitlines()[0].startswith("at,outcome,action,actor")
    assert ",'=cmd()," in table.out.splitlines()[1]


def test_filters_and_pages_are_asked_for(orc: Orc, double: Any) -> None:
    double.answers["/audit"] = answer(*ROWS, more=True)

    words = ("--limit", "6", "--action", "killswitch.release", "-o", "name")
    done = orc("audit", "ls", *words, ORCHESTRATOR_URL=double.url)

    assert done.out.split() == ["01J0", "01J1", "01J2"] * 2
    first, second = [path for _, path, _, _ in double.requests if path.startswith("/audit")]
    assert first == "/audit?action=killswitch.release&limit=6"
    assert second == "/audit?action=killswitch.release&before=01J0&limit=3"


def test_what_waits_is_said(orc: Orc, double: Any) -> None:
    double.answers["/audit"] = answer(pending=7)

    done = orc("audit", "ls", ORCHESTRATOR_URL=double.url)

    assert done.out == ""
    assert "7 more wait" in done.err
