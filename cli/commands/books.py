"""``books``: reconciliation of all events since the start."""

from typing import Any

from ..client.rest import Client
from ..errors import ExitCode
from ..options import Invocation, command, pass_invocation
from ..output import JSON_VERSION, Column, Row, Screen

_OF_EACH = (
    "carried",
    "received",
    "stored",
    "rejected",
    "journal",
    "dropped",
    "copies",
    "echoes",
    "aside",
    "difference",
)


def _number(name: str) -> Column:
    def shown(row: Row, screen: Screen) -> str:
        return screen.number(row.get(name))

    return Column(name.upper(), name, shown, right=True)


BOOK_COLUMNS = (Column("SOURCE", "source"), *map(_number, _OF_EACH))


@command(
    "books",
    examples="""
        orc books
        orc books -o json | jq .balanced
    """,
)
@pass_invocation
def books_command(invocation: Invocation) -> int:
    """Reconcile all events received since the daemon's start, by source.

    Carried over + received = stored + rejected + in the journal + dropped + excluded (copies,
    echoes, events that are only forwarded). Exit code 1 if the sums differ by one or more.
    """
    with Client.of(invocation) as client:
        answer = client.get("/runtime/books")
    rows: list[dict[str, Any]] = answer["books"]
    screen = invocation.screen
    balanced = bool(answer["balanced"])
    if screen.output == "json":
        body = {"since": answer["since"], "balanced": balanced, "items": rows}
        screen.json({"version": JSON_VERSION, "kind": "books", **body})
    else:
        screen.records("books", rows, BOOK_COLUMNS, "source")
    if balanced:
        return ExitCode.DONE
    screen.warn("the books do not balance: see the column DIFFERENCE, and report it")
    return ExitCode.FAILED
