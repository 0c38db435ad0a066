import json
from typing import Any

import pytest

from ..conftest import Orc

ENTRIES = (
    "carried", "received", "stored", "rejected", "journal", "dropped", "copies", "echoes", "aside",
)  # fmt: skip


def answer(difference: int) -> dict[str, Any]:
    row = {"source": "data", **dict.fromkeys(ENTRIES, 0), "difference": difference}
    return {
        "status": "ok",
        "timestamp": "2026-01-31T09:30:00.123Z",
        "balanced": not difference,
        "since": "2026-01-31T09:00:00.000Z",
        "books": [row],
    }


@pytest.mark.parametrize(("difference", "code"), [(0, 0), (3, 1)])
def test_the_exit_code_says_whether_the_books_balance(
    orc: Orc, double: Any, difference: int, code: int
) -> None:
    double.answers["/runtime/books"] = 200, answer(difference)

    table = orc("books", ORCHESTRATOR_URL=double.url)
    document = orc("books", "-o", "json", ORCHESTRATOR_URL=double.url)

    assert table.code == document.code == code
    assert "DIFFERENCE" in table.out
    assert json.loads(document.out)["balanced"] is not bool(difference)
    assert ("do not balance" in table.err) is bool(difference)
