"""``audit ls``: who did what, and who was refused what."""

from typing import Any, Final

import click

from ..client.rest import Client
from ..options import Invocation, noun, pass_invocation
from ..output import Column

PAGE: Final = 200
"""The daemon gives no more at once."""

AUDIT_COLUMNS = (
    Column("TIME", "at", lambda row, screen: screen.moment(row.get("at"))),
    Column("OUTCOME", "outcome", state=True),
    Column("ACTION", "action"),
    Column("BY", "actor"),
    Column("ROLE", "role", wide=True),
    Column("ADDRESS", "address"),
    Column("TARGET", "target"),
    Column("FROM", "from"),
    Column("TO", "to"),
    Column("TRIP", "trip_id"),
    Column("COUNT", "count", right=True),
    Column("REASON", "reason", shrinks=True),
    Column("DETAIL", "detail", shrinks=True, wide=True),
    Column("ID", "id", wide=True),
    Column("RECEIPTS", "receipts", wide=True),
    Column("REQUEST", "request_id", wide=True),
)


@noun("audit", examples="orc audit ls")
def audit_command() -> None:
    """See who did what."""


@audit_command.command(
    "ls",
    examples="""
        orc audit ls
        orc audit ls --action killswitch.release -o wide
        orc audit ls --limit 1000 -o csv > audit.csv
    """,
)
@click.option("--limit", type=click.IntRange(1), default=20, help="The N latest.  [20]")
@click.option("--before", metavar="ID", help="Only those before this one.")
@click.option("--action", metavar="NAME", help="Only this action, as killswitch.release.")
@pass_invocation
def audit_ls(invocation: Invocation, *, limit: int, before: str | None, action: str | None) -> None:
    """List acts of operators, transitions of the stop and refused attempts, the latest last."""
    screen = invocation.screen
    with Client.of(invocation) as client:
        rows, pending = _rows(client, limit, {"before": before, "action": action})
    screen.records("audit", rows[::-1], AUDIT_COLUMNS, "id")
    if pending:
        screen.warn(f"{pending} more wait on the daemon's disk until PostgreSQL takes them")


def _rows(
    client: Client, limit: int, query: dict[str, str | None]
) -> tuple[list[dict[str, Any]], int]:
    """The latest ``limit`` rows, newest first, and how many are not in PostgreSQL yet."""
    rows: list[dict[str, Any]] = []
    given: dict[str, str] = {name: value for name, value in query.items() if value is not None}
    while True:
        answer = client.get("/audit", {**given, "limit": str(min(PAGE, limit - len(rows)))})
        rows += answer["audit"]
        if len(rows) >= limit or not answer["has_more"]:
            return rows, int(answer["pending"])
        given["before"] = str(rows[-1]["id"])
