"""``agent add|remove|set``: agents of the settings' file, which the daemon then reads again."""

import shlex
import tomllib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from ..client.completion import complete_agents
from ..client.rest import Client, is_refused
from ..errors import BadUsage, ExitCode, Failure
from ..local_settings import Place, config_option, missing_extra, read_settings
from ..offline.settings_file import SettingsFile
from ..offline.settings_text import with_table, with_value, without_table
from ..options import Invocation, command, confirm, pass_invocation

if TYPE_CHECKING:
    from ...settings import Settings

EXECUTION: Final = "execution"
"""The group whose agents place orders: starting one needs confirmation."""
_RELOAD: Final = "/runtime/settings/reload"

_WORDS: Final = ("class", "cwd", "env", "group", "name")
"""Keys whose values are text, also where they look like a number."""

Edit = Callable[[str], str]

no_reload = click.option(
    "--no-reload", is_flag=True, help="Write the file only; the daemon is not asked."
)
no_check = click.option(
    "--no-check", is_flag=True, help="Do not load its class, nor look for its program."
)
values_argument = click.argument("values", metavar="KEY=VALUE...", nargs=-1, required=True)


@command(
    "add",
    examples="""
        orc agent add prices class=my_agents:Prices group=ingestion
        orc agent add feed command='node feed.js' max_memory=256MiB
        orc agent add risk class=risk:Risk options.limit=5000 env.DESK=a
    """,
)
@click.argument("agent_id", metavar="ID")
@values_argument
@config_option
@no_check
@no_reload
@pass_invocation
def add_command(  # noqa: PLR0913 its options
    invocation: Invocation,
    *,
    agent_id: str,
    values: tuple[str, ...],
    config: Path | None,
    no_check: bool,
    no_reload: bool,
) -> int:
    """Add an agent to the settings, and have the daemon start it.

    KEYs are those of [agents.ID]; VALUEs are written as in TOML, or as plain words. `command` may
    be written as on a shell's line.
    """
    table: dict[str, Any] = {}
    for key, value in map(_pair, values):
        _put(table, key, value)
    if table.get("group") == EXECUTION:
        confirm(invocation, f"add {agent_id}: it may place orders.")
    edit = partial(with_table, table=("agents", agent_id), values=table)
    change = _Change(invocation, config, agent_id, asks_daemon=not no_reload)
    return change.make("added", edit, check=not no_check)


@command("remove", examples="orc agent remove prices")
@click.argument("agent_id", metavar="ID", shell_complete=complete_agents)
@config_option
@no_reload
@pass_invocation
def remove_command(
    invocation: Invocation, *, agent_id: str, config: Path | None, no_reload: bool
) -> int:
    """Take an agent out of the settings, and have the daemon stop it in order."""
    edit = partial(without_table, table=("agents", agent_id))
    change = _Change(invocation, config, agent_id, asks_daemon=not no_reload)
    return change.make("removed", edit, check=False)


@command(
    "set",
    examples="""
        orc agent set prices interval_s=2 options.symbol=AAPL
        orc agent set prices max_memory=
    """,
)
@click.argument("agent_id", metavar="ID", shell_complete=complete_agents)
@values_argument
@config_option
@no_check
@no_reload
@pass_invocation
def set_command(  # noqa: PLR0913 its options
    invocation: Invocation,
    *,
    agent_id: str,
    values: tuple[str, ...],
    config: Path | None,
    no_check: bool,
    no_reload: bool,
) -> int:
    """Change settings of an agent, and have the daemon restart it.

    KEYs are those of [agents.ID]; VALUEs are written as in TOML, or as plain words. An empty VALUE
    takes the key out.
    """
    pairs = [_pair(text) for text in values]

    def edit(text: str) -> str:
        for key, value in pairs:
            text = with_value(text, ("agents", agent_id), key, value)
        return text

    change = _Change(invocation, config, agent_id, asks_daemon=not no_reload)
    if change.places_orders(edit):
        confirm(invocation, f"change {agent_id}: it may place orders once it is restarted.")
    return change.make("changed", edit, check=not no_check)


class _Change:
    """One change of one agent's table."""

    def __init__(
        self, invocation: Invocation, config: Path | None, agent_id: str, *, asks_daemon: bool
    ) -> None:
        self._invocation = invocation
        self._agent_id = agent_id
        self._client = Client.of(invocation)
        answer: Mapping[str, Any] | None = None
        try:
            if asks_daemon:
                place = Place(read_settings(config))
                self._client = place.client(invocation)
                _here(self._client.url, place)
                with self._client:
                    answer = self._client.get("/runtime/settings")
        except Failure as failure:
            if not is_refused(failure) and failure.code != "not_running":
                raise
            invocation.screen.note(f"{failure}; it takes effect at its next start")
        self._asks = answer is not None
        self._path = _file_of(config, None if answer is None else answer.get("file"))
        if answer is not None:
            _same(self._path, answer.get("file"), self._client.url)

    def places_orders(self, edit: Edit) -> bool:
        """Whether it starts as one of those that place orders.

        By its group in the settings as they are and as they will be; where they name none, as the
        daemon knows the group of its class. One that was of them already starts only where a
        daemon is asked.
        """
        found, settings = SettingsFile(self._path).foreseen(edit)
        old = found.get("agents", {}).get(self._agent_id, {}).get("group")
        new = settings.agents[self._agent_id].group
        if EXECUTION in (old, new):
            return self._asks or old != EXECUTION
        if not self._asks or None not in (old, new):
            return False
        with self._client:
            rows = self._client.get("/health/agents", {"group": EXECUTION})["agents"]
        return any(row["id"] == self._agent_id for row in rows)

    def make(self, word: str, edit: Edit, *, check: bool) -> int:
        """Write the file, have the daemon read it, and show what came of it."""
        agent_id, answer = self._agent_id, None
        with self._client, SettingsFile(self._path).edited(edit) as settings:
            if check:
                _check(settings, agent_id)
            if self._asks:
                answer = self._client.post(_RELOAD)
        return self._show(word, answer)

    def _show(self, word: str, answer: Mapping[str, Any] | None) -> int:
        agent_id, screen = self._agent_id, self._invocation.screen
        found = (answer or {}).get("reload") or {}
        agents = found.get("agents") or {}
        done = next(
            (one for one in ("started", "stopped", "restarted") if agent_id in agents.get(one, ())),
            None,
        )
        failed = (agents.get("failed") or {}).get(agent_id)
        row = {
            "id": agent_id,
            "change": word,
            "file": str(self._path),
            "reloaded": answer is not None,
            "done": done,
            "failed": failed,
        }
        what = f"{word}, {done}" if done else word
        line = f"{agent_id}  {what}  {self._path}"
        screen.record("agent_change", row, lambda: [line], "id")
        if failed:
            screen.warn(f"{agent_id}: {failed}")
            return ExitCode.PARTIAL
        if answer is not None and not done:
            late = "the daemon is still at it: see `orchestrator agent ls`"
            screen.note(late if not found else "the daemon had nothing to change")
        return ExitCode.DONE


def _file_of(config: Path | None, reported: str | None) -> Path:
    """The file to change: the given one, this folder's, or the daemon's."""
    try:
        from ...settings import find_file
    except ModuleNotFoundError as error:
        raise missing_extra(error, "daemon") from error
    found = (
        config or find_file() or (Path(reported) if reported and Path(reported).is_file() else None)
    )
    if found is None:
        raise BadUsage("there is no supervisor.toml in this folder", advice="name it with -c FILE")
    return found


def _here(url: str, place: Place) -> None:
    if place.is_here(url):
        return
    raise Failure(
        f"the daemon at {url} is of another machine, nothing is changed",
        code="other_file",
        cause="it reads a file there, also where that has the same name",
        advice="run this there, or give --no-reload to change the file of this machine",
    )


def _same(path: Path, reported: str | None, url: str) -> None:
    if reported is not None and path.expanduser().resolve() == Path(reported).resolve():
        return
    raise Failure(
        f"{path} is not what the daemon at {url} reads",
        code="other_file",
        cause=f"it reads {reported}" if reported else "it was started without a file",
        advice="name its file with -c, its address with --url, or give --no-reload",
    )


def _check(settings: "Settings", agent_id: str) -> None:
    from ..offline.agent_programs import faults

    found = list(faults({agent_id: settings.agents[agent_id]}))
    if found:
        raise Failure(
            f"{agent_id} could not run, nothing is changed",
            code="bad_settings",
            cause="; ".join(found),
            advice="correct it, or give --no-check",
            exit_code=ExitCode.USAGE,
        )


def _pair(text: str) -> tuple[tuple[str, ...], Any]:
    """``env.A=1`` as path and value; None for an empty value."""
    key, sign, value = text.partition("=")
    path = tuple(key.split("."))
    if not sign or not all(path):
        raise BadUsage(f"{text!r} is not KEY=VALUE", advice="such as group=ingestion")
    if not value:
        return path, None
    if path[0] in _WORDS and value[0] not in "\"'{":
        return path, value
    try:
        return path, tomllib.loads(f"value = {value}")["value"]
    except (tomllib.TOMLDecodeError, KeyError):
        return path, _words(value) if path == ("command",) else value


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError as error:
        raise BadUsage(f"command {command!r} cannot be read", cause=str(error)) from error


def _put(table: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    *above, key = path
    for part in above:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise BadUsage(f"{'.'.join(path)}: {part} is given as a value, too")
    if value is not None:
        table[key] = value
