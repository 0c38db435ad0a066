"""``agent logs``."""

from collections.abc import Callable
from itertools import chain, repeat
from typing import Any

import click

from ...protocol.printable import printable
from ..client.agent_logs import follow
from ..client.completion import complete_agents
from ..client.rest import Client, segment
from ..errors import BadUsage, ExitCode, Failure
from ..options import Invocation, command, pass_invocation
from ..output import Column, Row, Screen, cell

MOST_LINES = 200
"""Number of lines that the daemon keeps per agent."""


def _logged(row: Row) -> str:
    """A line, with the fields logged with it; of a JSON line that is in its text."""
    fields = row.get("fields") if row.get("stream") == "log" else None
    return " ".join([str(row.get("text")), *(f"{k}={v}" for k, v in (fields or {}).items())])


_LOG_COLUMNS = (
    Column("TIME", "at", lambda row, screen: screen.moment(row.get("at"))),
    Column("STREAM", "stream", wide=True),
    Column("LEVEL", "level", wide=True),
    Column("LINE", "text", lambda row, _: printable(_logged(row))),
)


@command(
    "logs",
    examples="""
        orc agent logs quotes-agent
        orc agent logs quotes-agent -f
        orc agent logs quotes-agent --before-crash -n 50
    """,
)
@click.argument("agent_id", metavar="ID", shell_complete=complete_agents)
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(1, MOST_LINES),
    default=MOST_LINES,
    help="How many at most.",
)
@click.option("--before-crash", is_flag=True, help="The last lines before the most recent crash.")
@click.option("-f", "--follow", "following", is_flag=True, help="Follow the output.")
@pass_invocation
def logs_command(
    invocation: Invocation, *, agent_id: str, lines: int, before_crash: bool, following: bool
) -> None:
    """Show the last lines that an agent of the daemon printed, or logged if it runs inside."""
    if following and before_crash:
        raise BadUsage("--follow and --before-crash exclude each other")
    screen = invocation.screen
    with Client.of(invocation) as client:

        def fetch(limit: int = lines) -> dict[str, Any]:
            query = {"limit": limit, "before_crash": "true" if before_crash else None}
            try:
                return client.get(f"/runtime/agents/{segment(agent_id)}/logs", query)
            except Failure as failure:
                raise of_agent(failure, agent_id) from failure

        if following:
            limits = chain([lines], repeat(MOST_LINES))
            write = _line_writer(screen)
            for line in follow(lambda: fetch(next(limits)), screen.note):
                write(line)
        answer = fetch()
    screen.records("lines", answer["lines"], _LOG_COLUMNS, "text")
    if not screen.for_programs:
        screen.note(_exit_words(answer.get("last_exit"), screen))


def _line_writer(screen: Screen) -> Callable[[Row], None]:
    if screen.output in ("json", "jsonl"):
        return screen.json_line
    if screen.output == "name":
        return lambda row: screen.name(str(row.get("text")))
    if screen.output == "csv":
        raise BadUsage("a stream cannot be CSV", advice="use -o jsonl, or leave out -f")
    return lambda row: screen.line("  ".join(cell(row, one, screen) for one in _LOG_COLUMNS))


def _exit_words(last_exit: Row | None, screen: Screen) -> str:
    if last_exit is None:
        return "no crash since the daemon started"
    how = last_exit.get("signal") or f"code {last_exit.get('code')}"
    return f"last crash at {screen.moment(last_exit.get('at'))}: {how}"


def of_agent(failure: Failure, agent_id: str) -> Failure:
    """The same, saying which agent was meant."""
    if failure.exit_code == ExitCode.NOT_FOUND:
        return Failure(
            f"the daemon runs no agent {agent_id!r}",
            code="not_found",
            cause="only agents of its settings can be started and stopped",
            advice="add it under [agents] in supervisor.toml, or end it where it runs",
            exit_code=ExitCode.NOT_FOUND,
        )
    failure.cause = failure.cause or f"asked about {agent_id}"
    return failure
