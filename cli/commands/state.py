"""``state ls|get`` and ``regime``."""

import json
from collections.abc import Mapping
from typing import Any

import click

from ...protocol.printable import printable
from ..client.completion import complete_state_keys
from ..client.rest import Client, segment
from ..errors import ExitCode
from ..options import Invocation, command, noun, pass_invocation
from ..output import Column, Row, Screen


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
