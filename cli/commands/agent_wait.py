"""``agent wait``."""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import click

from ..client.completion import complete_agents
from ..client.rest import Client
from ..errors import ExitCode, Failure
from ..formatting import duration
from ..options import Invocation, command, pass_invocation

LIMIT_S: Final = 60.0
POLLS_S: Final = (0.2, 0.3, 0.5, 1.0, 1.0, 1.0)
"""Between the first looks; all later ones are `POLL_S` apart."""
POLL_S: Final = 2.0
"""Calls count against the daemon's limit of some 60 a minute."""
_FINAL: Final = (ExitCode.FORBIDDEN, ExitCode.USAGE)
"""A daemon that is starting may answer anything but this."""


def is_so(row: Mapping[str, Any] | None, wanted: str) -> bool:
    """Whether an agent is as wanted; one that is unknown is nothing."""
    if row is None:
        return False
    liveness = row.get("liveness")
    if wanted == "down":
        return liveness in ("down", "stopped")
    if wanted == "halted":
        return row.get("status") == "halted" and liveness in ("up", "late")
    return liveness == "up"


@command(
    "wait",
    examples="""
        orc agent wait risk-1 --for up --timeout 30
        orc agent wait execution-1 execution-2 --for halted
    """,
)
@click.argument(
    "agent_ids", metavar="ID...", nargs=-1, required=True, shell_complete=complete_agents
)
@click.option(
    "--for", "wanted", type=click.Choice(["up", "down", "halted"]), default="up", show_default=True
)
@click.option(
    "--timeout",
    "limit_s",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    default=LIMIT_S,
    show_default=True,
    help="How long to wait in all.",
)
@pass_invocation
def wait_command(
    invocation: Invocation, *, agent_ids: tuple[str, ...], wanted: str, limit_s: float
) -> None:
    """Wait until all of these agents are up, down or halted. Exit code 6 if they are not in time.

    A daemon that does not answer yet is waited for too.
    """
    began, rows, trouble = time.monotonic(), {}, None
    with Client.of(invocation) as client:
        for _look in _looks(limit_s):
            try:
                rows = {str(row["id"]): row for row in client.get("/health/agents")["agents"]}
                trouble = None
            except Failure as failure:
                if failure.exit_code in _FINAL:
                    raise
                trouble = failure
                continue
            if all(is_so(rows.get(agent_id), wanted) for agent_id in agent_ids):
                break
        else:
            raise trouble or _late(agent_ids, rows, wanted, limit_s)
    waited_s = round(time.monotonic() - began, 3)
    row = {"ids": list(agent_ids), "state": wanted, "waited_s": waited_s}
    said = f"{invocation.screen.state(wanted)}  {', '.join(agent_ids)}  after {duration(waited_s)}"
    invocation.screen.record("agent_wait", row, lambda: [said], "state")


def _looks(limit_s: float) -> Iterator[int]:
    """One look at once, the last at the limit."""
    end, number = time.monotonic() + limit_s, 0
    while True:
        yield number
        left_s = end - time.monotonic()
        if left_s <= 0:
            return
        time.sleep(min(left_s, POLLS_S[number] if number < len(POLLS_S) else POLL_S))
        number += 1


def _late(
    agent_ids: Sequence[str], rows: Mapping[str, Mapping[str, Any]], wanted: str, limit_s: float
) -> Failure:
    missing = [one for one in agent_ids if not is_so(rows.get(one), wanted)]
    found = [f"{one}: {_words(rows.get(one))}" for one in missing]
    return Failure(
        f"not {wanted} within {duration(limit_s)}: {', '.join(missing)}",
        code="timed_out",
        cause="; ".join(found),
        advice=f"`orchestrator doctor agent {missing[0]}` says why",
        exit_code=ExitCode.TIMED_OUT,
    )


def _words(row: Mapping[str, Any] | None) -> str:
    return "never reported" if row is None else f"{row.get('liveness')}, {row.get('status')}"
