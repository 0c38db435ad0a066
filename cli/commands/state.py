"""``state ls|get`` and ``regime``."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

import click

from ...protocol.printable import printable
from ..client.completion import complete_state_keys
from ..client.rest import Client, segment
from ..errors import BadUsage, ExitCode
from ..options import Invocation, command, noun, pass_invocation
from ..output import Column, Row, Screen, cell


def _show_value(row: Row, _: Screen) -> str:
    return json.dumps(row.get("value"), ensure_ascii=False, separators=(",", ":"))


STATE_COLUMNS = (
    Column("KEY", "key"),
    Column("UPDATED", "updated_at", lambda row, screen: screen.age(row.get("updated_at"))),
    Column("VALUE", "value", _show_value, shrinks=True),
)
SYMBOL_COLUMNS = (
    Column("SYMBOL", "symbol"),
    Column("REGIME", "regime"),
    Column("TREND", "trend"),
    Column("VOLATILITY", "volatility", lambda row, _: percent(row.get("volatility")), right=True),
    Column("POINTS", "data_points", right=True),
)


WATCH_COLUMNS = (
    Column("UPDATED", "updated_at", lambda row, screen: screen.moment(row.get("updated_at"))),
    Column("KEY", "key"),
    Column("VALUE", "value", _show_value),
)
WATCH_S = 2.0
"""Half of the daemon's default rate limit for one address."""


@noun("state", examples="orc state get regime_state")
def state_command() -> None:
    """Show the state kept by the daemon, by key."""


@state_command.command("ls", examples="orc state ls")
@pass_invocation
def state_ls(invocation: Invocation) -> None:
    """List all keys with their values."""
    with Client.of(invocation) as client:
        rows = client.get("/state")["state"]
    screen = invocation.screen
    screen.records("state", rows, STATE_COLUMNS, "key")
    if not rows and not screen.for_programs:
        screen.note("nothing is kept yet")


@state_command.command("get", examples="orc state get regime_state")
@click.argument("key", shell_complete=complete_state_keys)
@pass_invocation
def state_get(invocation: Invocation, *, key: str) -> None:
    """Show the value of one key, as JSON."""
    with Client.of(invocation) as client:
        answer = client.get(f"/state/{segment(key)}")
    row = {name: answer.get(name) for name in ("key", "value", "updated_at")}
    if isinstance(answer.get("state"), Mapping):
        row = dict(answer["state"])
    value = json.dumps(row.get("value"), indent=2, ensure_ascii=False)
    invocation.screen.record("state", row, lambda: map(printable, value.splitlines()), "key")


@state_command.command(
    "watch",
    examples="""
        orc state watch
        orc state watch regime_state -o jsonl
    """,
)
@click.argument("keys", metavar="[KEY]...", nargs=-1, shell_complete=complete_state_keys)
@click.option("--count", type=click.IntRange(1), metavar="N", help="Exit after N values.")
@pass_invocation
def state_watch(invocation: Invocation, *, keys: tuple[str, ...], count: int | None) -> None:
    """Show the values there are, then each that changes, until Ctrl-C.

    The daemon is asked every 2 seconds; a value that changes twice meanwhile is shown once. Ends
    with exit code 3 when the daemon goes away.
    """
    write = _writer(invocation.screen)
    with Client.of(invocation) as client:
        for row in islice(_changes(client, keys), count):
            write(row)


def _changes(client: Client, keys: tuple[str, ...]) -> Iterator[Row]:
    """Rows that are new or have changed, without end."""
    seen: dict[str, Row] = {}
    while True:
        for row in client.get("/state")["state"]:
            key = str(row.get("key"))
            if (not keys or key in keys) and seen.get(key) != row:
                seen[key] = row
                yield row
        time.sleep(WATCH_S)


def _writer(screen: Screen) -> Callable[[Row], None]:
    if screen.output in ("json", "jsonl"):
        return screen.json_line
    if screen.output == "name":
        return lambda row: screen.name(str(row.get("key")))
    if screen.output == "csv":
        raise BadUsage("a stream cannot be CSV", advice="use -o jsonl, or `state ls -o csv`")
    return lambda row: screen.line("  ".join(cell(row, one, screen) for one in WATCH_COLUMNS))


@command(
    "regime",
    examples="""
        orc regime
        orc regime -o wide
    """,
)
@pass_invocation
def regime_command(invocation: Invocation) -> int:
    """The market regime, as last detected.

    With -o wide, each symbol's too. Exit code 5 while there is none.
    """
    with Client.of(invocation) as client:
        answer = client.get("/regime/state")
    screen = invocation.screen
    regime = answer.get("regime")
    known: dict[str, Any] = regime if isinstance(regime, dict) else {}
    body = {"status": answer.get("status"), **known}
    screen.record("regime", body, lambda: regime_lines(known, screen), "regime")
    if known and screen.output == "wide":
        details = known.get("symbol_details") or {}
        rows = [{"symbol": symbol, **row} for symbol, row in sorted(details.items())]
        screen.table(rows, SYMBOL_COLUMNS)
    if known:
        return ExitCode.DONE
    screen.note("an agent has to publish on quant.regime.state; see `agent ls`")
    return ExitCode.NOT_FOUND


def regime_lines(regime: Mapping[str, Any], screen: Screen) -> list[str]:
    """``volatile / bearish  0.82   4 m old, from regime-1``."""
    if not regime:
        return ["no regime has been reported yet"]
    trend = f" / {printable(str(regime['trend']))}" if regime.get("trend") else ""
    facts = [screen.strong(printable(str(regime.get("regime"))) + trend)]
    if isinstance(regime.get("confidence"), int | float):
        facts.append(f"confidence {regime['confidence']:.2f}")
    if isinstance(regime.get("volatility"), int | float):
        facts.append(f"volatility {percent(regime['volatility'])}")
    if regime.get("symbols_analyzed") is not None:
        facts.append(f"{regime['symbols_analyzed']} symbols")
    when = screen.age(regime.get("last_update") or regime.get("timestamp"))
    old = f"{when} old" if screen.terminal else when
    source = printable(str(regime.get("source") or regime.get("agent_id") or "unknown"))
    return ["   ".join([*facts, f"{old}, from {source}"])]


def percent(value: object) -> str:
    """A share as a percentage: 0.0123 is ``1.23 %``."""
    return f"{value * 100:.2f} %" if isinstance(value, int | float) else "-"
