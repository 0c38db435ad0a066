"""``agent ls|show|run|start|stop|restart|resume``; the others have modules of their own."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import click

from ...protocol.printable import printable
from ..client.completion import complete_agents
from ..client.rest import Client, segment
from ..errors import BadUsage, ExitCode, Failure
from ..formatting import event_summary, size_text, uptime
from ..options import Invocation, confirm, noun, pass_invocation
from ..output import Column, Row, Screen
from .agent_logs import logs_command, of_agent
from .agent_new import new_command
from .agent_rows import AGENT_COLUMNS, agent_state, in_order, show_beat, show_interval
from .agent_tables import EXECUTION, add_command, remove_command, set_command
from .agent_wait import wait_command
from .agent_watch import watch_command

RECENT_EVENTS = 5
"""Number of latest events shown with an agent."""


@noun("agent", examples="orc agent ls")
def agent_command() -> None:
    """List, run, start and stop agents."""


@agent_command.command(
    "ls",
    examples="""
        orc agent ls
        orc agent ls --state late,down
        orc agent ls --group execution -o name | xargs orc agent show
    """,
)
@click.option("--group", metavar="GROUP", help="Only of this group.")
@click.option("--state", metavar="STATES", help="Only in these: up, late, down, unknown, error.")
@click.option("-a", "--all", "every", is_flag=True, help="All, whatever --state says.")
@pass_invocation
def agent_ls(invocation: Invocation, *, group: str | None, state: str | None, every: bool) -> None:
    """List the agents that ever reported, trouble first."""
    state = None if every else state
    with Client.of(invocation) as client:
        rows = client.get("/health/agents", {"group": group})["agents"]
    rows = in_order(rows)
    wanted = None if state is None else {word.strip() for word in state.split(",")}
    shown = [row for row in rows if wanted is None or agent_state(row) in wanted]
    screen = invocation.screen
    screen.records("agents", shown, AGENT_COLUMNS, "id")
    if not screen.for_programs:
        screen.note(_ls_footer(rows, shown, state))


def _ls_footer(rows: list[dict[str, Any]], shown: list[dict[str, Any]], state: str | None) -> str:
    """``3 shown, 18 up hidden by --state late,down (-a for all)``."""
    if not rows:
        return "no agent has ever reported; `orc doctor agent ID` says why one does not appear"
    hidden = Counter(map(agent_state, rows)) - Counter(map(agent_state, shown))
    said = f"{len(shown)} shown"
    if not hidden:
        return said
    counts = ", ".join(f"{count} {word}" for word, count in sorted(hidden.items()))
    return f"{said}, {counts} hidden by --state {state} (-a for all)"


@agent_command.command("show", examples="orc agent show dev-agent")
@click.argument(
    "agent_ids", metavar="ID...", nargs=-1, required=True, shell_complete=complete_agents
)
@pass_invocation
def agent_show(invocation: Invocation, *, agent_ids: tuple[str, ...]) -> None:
    """Show all that is known of an agent, with its latest events."""
    screen = invocation.screen
    with Client.of(invocation) as client:
        rows = {str(row["id"]): row for row in client.get("/health/agents")["agents"]}
        managed = {str(row.get("id")): row for row in _managed(client)}
        for agent_id in agent_ids:
            if agent_id not in rows and agent_id not in managed:
                raise _unknown(agent_id, [*rows, *managed])
            about = {
                **rows.get(agent_id, {"id": agent_id}),
                "managed": managed.get(agent_id),
                "events": _recent(client, agent_id),
            }
            screen.record("agent", about, partial(_agent_lines, about, screen), "id")


def _managed(client: Client) -> list[dict[str, Any]]:
    """The agents that the daemon runs itself."""
    agents: list[dict[str, Any]] = client.get("/runtime/agents")["agents"]
    return agents


def _recent(client: Client, agent_id: str) -> list[dict[str, Any]]:
    query = {"source": agent_id, "limit": RECENT_EVENTS}
    events: list[dict[str, Any]] = client.get("/bus/events", query)["events"]
    return events


def _unknown(agent_id: str, known: Iterable[str]) -> Failure:
    import difflib

    near = difflib.get_close_matches(agent_id, list(known), n=1)
    return Failure(
        f"there is no agent {agent_id!r}",
        code="not_found",
        cause=f"did you mean {near[0]!r}?" if near else "it never reported",
        advice=f"`orchestrator doctor agent {agent_id}` says why it does not appear",
        exit_code=ExitCode.NOT_FOUND,
    )


def _agent_lines(about: Row, screen: Screen) -> list[str]:
    managed = about.get("managed") or {}
    lines = screen.facts(
        [
            ("id", printable(str(about["id"]))),
            ("processes", str(about["instances"]) if (about.get("instances") or 1) > 1 else ""),
            ("id note", printable(str(about.get("id_note") or ""))),
            ("name", printable(str(about.get("name") or ""))),
            ("group", printable(str(about.get("agent_group") or ""))),
            ("state", screen.state(agent_state(about)) if "status" in about else "never reported"),
            ("status", printable(str(about.get("status") or ""))),
            ("beat", show_beat(about, screen) if about.get("last_beat") else ""),
            ("every", show_interval(about, screen) if about.get("interval_s") else ""),
            ("kind", str(about.get("kind") or "")),
            ("version", printable(str(about.get("version") or ""))),
            ("error", printable(str(about.get("last_error") or ""))),
            *_run_facts(managed),
        ]
    )
    return [*lines, *(_event_line(event, screen) for event in about.get("events") or [])]


_IN_UNITS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "uptime_seconds": ("up", uptime),
    "cpu_percent": ("cpu", lambda value: f"{value:.0f} %"),
    "memory_bytes": ("memory", size_text),
    "last_error": ("error", str),
    "stopped_by_operator": ("stopped by", lambda value: "an operator" if value else ""),
}
"""Fields of a run that are not shown as they are: label and text."""


def _run_facts(managed: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the daemon knows of an agent that it runs itself, in units for people."""
    found = []
    for key, value in managed.items():
        label, show = _IN_UNITS.get(key, (key, str))
        if key != "id" and isinstance(value, str | int | float):
            found.append((f"run {label}", printable(show(value))))
    return found


def _event_line(event: Row, screen: Screen) -> str:
    name = str(event.get("type"))
    what = event_summary(name, event.get("payload"))
    return f"  {screen.moment(event.get('ts'))}  {printable(name)}  {what}"


@agent_command.command(
    "run",
    examples="""
        REDIS_URL=$(orc env REDIS_URL) orc agent run my_agents:Prices
        orc agent run my_agents:Prices --id prices-2 --option symbol=AAPL
    """,
)
@click.argument("path", metavar="MODULE:CLASS")
@click.option("--id", "agent_id", help="Its id; the class's own by default.")
@click.option("--name", help="For people.")
@click.option("--group", help="ingestion, signals, execution, ...")
@click.option("--redis-url", envvar="REDIS_URL", help="The bus; REDIS_URL by default.")
@click.option("--interval", type=float, metavar="SECONDS", help="Between heartbeats.")
@click.option("--option", "options", multiple=True, metavar="KEY=VALUE", help="A setting of it.")
@pass_invocation
def agent_run(
    invocation: Invocation, /, *, path: str, options: tuple[str, ...], **given: object
) -> int:
    """Run an agent written with the kit, in this process, until Ctrl-C.

    It needs Redis only, not the daemon.
    """
    from ...agents.errors import BadAgent
    from ...agents.runner import load_agent, main

    try:
        load_agent(path)
    except BadAgent as error:
        raise BadUsage(
            f"cannot run {path}",
            cause=str(error),
            advice="name module:Class of this folder; `orchestrator agent new NAME` writes one",
        ) from error
    if given["redis_url"] is None:
        invocation.screen.note(
            "REDIS_URL is not set: the agent's own bus is dialled. `orc env REDIS_URL` prints that"
            " of a daemon on this machine"
        )
    given = {"id": given.pop("agent_id"), **given}
    arguments = [path]
    for name, value in given.items():
        if value is not None:
            arguments.append(f"--{name.replace('_', '-')}={value}")
    return main([*arguments, *(f"--option={option}" for option in options)])


def _verb(name: str, text: str, *, asks: bool) -> None:
    """Declare ``agent start`` and the like."""

    @agent_command.command(name, examples=f"orc agent {name} quotes-agent", help=text)
    @click.argument(
        "agent_ids", metavar="ID...", nargs=-1, required=True, shell_complete=complete_agents
    )
    @pass_invocation
    def call(invocation: Invocation, *, agent_ids: tuple[str, ...]) -> int:
        with Client.of(invocation) as client:
            if asks:
                _confirm_execution(invocation, client, name, agent_ids)
            refused = _not_halted(client) if name == "resume" else frozenset()
            return _call_each(invocation, client, name, agent_ids, refused=refused)


def _not_halted(client: Client) -> frozenset[str]:
    """The agents that act, of those that the daemon runs: it would restart one without a gate."""
    return frozenset(
        str(row["id"])
        for row in client.get("/health/agents")["agents"]
        if row.get("liveness") in ("up", "late")
        if row.get("status") != "halted" and row.get("kind") in ("process", "in_process")
    )


def _confirm_execution(
    invocation: Invocation, client: Client, verb: str, agent_ids: tuple[str, ...]
) -> None:
    """Ask before agents that place orders are started."""
    rows = client.get("/health/agents", {"group": EXECUTION})["agents"]
    concerned = sorted({str(row["id"]) for row in rows} & set(agent_ids))
    if concerned:
        confirm(invocation, f"{verb} {', '.join(concerned)}: it may place orders again.")


def _call_each(
    invocation: Invocation,
    client: Client,
    verb: str,
    agent_ids: tuple[str, ...],
    *,
    refused: frozenset[str],
) -> int:
    """Call for each agent in turn, but those ``refused``; failures do not stop the others."""
    screen, done, failures = invocation.screen, [], []
    for agent_id in agent_ids:
        if agent_id in refused:
            failures.append(_acts(agent_id))
            continue
        try:
            answer = client.post(f"/runtime/agents/{segment(agent_id)}/{verb}")
        except Failure as failure:
            failures.append(of_agent(failure, agent_id))
            continue
        done.append({"id": agent_id, **_row_of(answer)})
    screen.records("agents", done, _CALL_COLUMNS, "id")
    if failures and not done:
        raise failures[0]
    for each in failures:
        screen.failure(each)
    return ExitCode.PARTIAL if failures else ExitCode.DONE


def _acts(agent_id: str) -> Failure:
    return Failure(
        f"{agent_id} is not halted",
        code="not_halted",
        cause="there is nothing to resume; nothing was done to it",
        advice=f"`orchestrator agent restart {agent_id}` restarts it",
    )


def _row_of(answer: dict[str, Any]) -> dict[str, Any]:
    row = answer.get("agent", answer)
    return row if isinstance(row, dict) else {}


_CALL_COLUMNS = (
    Column("STATE", "state", state=True),
    Column("ID", "id"),
    Column("KIND", "kind"),
    Column("RESTARTS", "restarts", right=True),
)

for _command in (
    add_command,
    remove_command,
    set_command,
    logs_command,
    new_command,
    wait_command,
    watch_command,
):
    agent_command.add_command(_command)
_verb("start", "Start agents that the daemon runs.", asks=True)
_verb("stop", "Stop agents that the daemon runs; they stay stopped.", asks=False)
_verb("restart", "Stop and start agents that the daemon runs.", asks=True)
_verb("resume", "Resume halted agents after the killswitch is released.", asks=True)
