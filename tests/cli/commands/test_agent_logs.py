"""``agent logs``, against a daemon that answers as told."""

import pytest

from ..conftest import Double, Orc

pytestmark = pytest.mark.subprocess

AT = "2026-01-01T00:00:00.000Z"


def answer(*lines: tuple[str, str, dict[str, object]]) -> tuple[int, dict[str, object]]:
    rows = [
        {"at": AT, "stream": stream, "text": text, "level": "warning", "fields": fields}
        for stream, text, fields in lines
    ]
    return 200, {"id": "a", "lines": rows, "total": len(rows), "last_exit": None}


def test_fields_stand_beside_what_was_logged_and_within_what_was_printed(
    orc: Orc, double: Double
) -> None:
    double.answers["/runtime/agents/a/logs"] = answer(
        ("log", "filled", {"symbol": "AAPL", "n": 2}), ("stdout", '{"n": 3}', {"n": 3})
    )

    shown = orc("--url", double.url, "agent", "logs", "a", "-o", "table").out
    wide = orc("--url", double.url, "agent", "logs", "a", "-o", "wide").out
    found = orc("--url", double.url, "agent", "logs", "a", "-o", "json").json["items"]

    assert "filled symbol=AAPL n=2" in shown
    assert '{"n": 3}\n' in shown
    assert "warning" in wide
    assert "warning" not in shown
    assert [row["fields"] for row in found] == [{"symbol": "AAPL", "n": 2}, {"n": 3}]
