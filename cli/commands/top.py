"""``top``: agents and topics, refreshed; one picture of them for scripts."""

import os
import select
import shutil
import signal
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, Final, NoReturn

import click

from ...protocol.printable import printable
from ...protocol.timestamps import utc_now
from ..client.rest import Client
from ..errors import BadUsage, ExitCode, Failure
from ..options import Invocation, command, pass_invocation
from ..output import JSON_VERSION, Screen
from .status import head_words, trading_words
from .top_view import View, pressed, shown

LEAST_S: Final = 3.0
"""A look is one call of the sixty a minute that an address has by default, with topics two."""
HEAD_LINES: Final = 6
"""Of the screen, beside the rows."""
_ENTER, _LEAVE, _HOME = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l", "\x1b[H\x1b[J"
_ARROW = "\x1b["


@command(
    "top",
    examples="""
        orc top
        orc top --once -o json | jq '.agents[] | select(.liveness != "up")'
    """,
)
@click.option("--once", is_flag=True, help="One picture, then end; the only way in a pipe.")
@click.option(
    "--every",
    "every_s",
    type=click.FloatRange(min=LEAST_S),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="Between two looks.",
)
@pass_invocation
def top_command(invocation: Invocation, *, once: bool, every_s: float) -> None:
    """Show agents or topics, trouble first, refreshed until q.

    Keys: t agents or topics, s the next order, f a filter (Enter ends it, Esc clears it), space
    freezes, q ends.
    """
    screen = invocation.screen
    with Client.of(invocation) as client:
        if once or screen.for_programs:
            _print_once(_look(client, topics=True), screen)
            return
        if not (screen.terminal and sys.stdin.isatty()):
            raise BadUsage("this needs a terminal", advice="add --once for one picture")
        with _raw_terminal():
            _run(client, screen, every_s)


def _look(client: Client, *, topics: bool) -> dict[str, Any]:
    """All that a picture shows; topics that were not asked for are None.

    Raises:
        Failure: A part is not answered.
    """
    answer = client.ask("GET", "/health")
    return {
        "at": utc_now(),
        "link_s": answer.elapsed_s,
        "health": answer.body,
        "ready": client.ask("GET", "/ready").body,
        "killswitch": client.get("/risk/killswitch"),
        "agents": client.get("/health/agents")["agents"],
        "topics": client.get("/bus/types")["types"] if topics else None,
    }


def _print_once(seen: dict[str, Any], screen: Screen) -> None:
    if screen.output == "json":
        screen.json({"version": JSON_VERSION, "kind": "top", **seen})
        return
    rows, columns, name = shown(View(), seen)
    if not screen.for_programs:
        _print_head(seen, screen)
    screen.records("agents", rows, columns, name)


def _run(client: Client, screen: Screen, every_s: float) -> None:
    """Look, draw and read keys, until q."""
    view, seen, trouble = View(), _look(client, topics=False), ""
    due = time.monotonic() + every_s
    while True:
        _draw(view, seen, screen, trouble)
        wait_s = max(0.0, due - time.monotonic())
        topics = view.topics
        for key in _keys(wait_s):
            following = pressed(view, key)
            if following is None:
                return
            view = following
        if view.topics and not topics:
            due = 0.0  # what has just been chosen is not there yet
        if time.monotonic() < due:
            continue
        due = time.monotonic() + every_s
        if view.frozen and not (view.topics and seen["topics"] is None):
            continue
        try:
            seen, trouble = _look(client, topics=view.topics), ""
        except Failure as failure:
            if failure.exit_code in (ExitCode.FORBIDDEN, ExitCode.USAGE):
                raise
            trouble = f"{failure.message}: {failure.cause}"


def _keys(wait_s: float) -> str:
    """What was typed; empty if nothing was in time, or what has no meaning here."""
    if not select.select([sys.stdin], [], [], wait_s)[0]:
        return ""
    typed = os.read(sys.stdin.fileno(), 1024).decode("utf-8", "replace")
    if not typed:
        return "q"  # the terminal is gone
    return "" if typed.startswith(_ARROW) else typed


def _draw(view: View, seen: dict[str, Any], screen: Screen, trouble: str) -> None:
    rows, columns, _ = shown(view, seen)
    room = max(0, shutil.get_terminal_size().lines - HEAD_LINES)
    sys.stdout.write(_HOME)
    _print_head(seen, screen, trouble, frozen=view.frozen)
    screen.table(rows[:room], columns)
    unread = view.topics and seen["topics"] is None
    below = f", {len(rows) - room} more below" if len(rows) > room else ""
    screen.line(f"{view.words(None if unread else len(rows))}{below}")
    sys.stdout.flush()


def _print_head(
    seen: dict[str, Any], screen: Screen, trouble: str = "", *, frozen: bool = False
) -> None:
    """Whose it is and whether trading is allowed; what is not of now has its time."""
    screen.line(head_words(seen["health"], seen["link_s"], screen))
    was = f"as of {screen.moment(seen['at'])}: {trading_words(seen, screen)}"
    if trouble:
        screen.line(f"{screen.state('unknown')}   {printable(trouble)}   {was}")
    elif frozen:
        screen.line(f"frozen, {was}")
    else:
        screen.line(trading_words(seen, screen))


@contextmanager
def _raw_terminal() -> Iterator[None]:
    """Keys come one by one, and the screen is back as it was at the end, by signals too."""
    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    handlers = {one: signal.signal(one, _end) for one in (signal.SIGTERM, signal.SIGHUP)}
    handlers[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    try:
        sys.stdout.write(_ENTER)
        tty.setcbreak(number, termios.TCSANOW)  # what has been typed already counts
        yield
    finally:
        with suppress(OSError, termios.error):  # the terminal is gone
            termios.tcsetattr(number, termios.TCSADRAIN, before)
            sys.stdout.write(_LEAVE)
            sys.stdout.flush()
        for one, handler in handlers.items():
            signal.signal(one, handler or signal.SIG_DFL)


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    """As a shell names the end by a signal."""
    raise SystemExit(128 + number)
