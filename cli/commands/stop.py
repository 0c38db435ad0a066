"""``stop``: an orderly end of the daemon of this machine."""

import json
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from ..errors import BadUsage, ExitCode, Failure
from ..formatting import duration, read_duration
from ..local_settings import ANNOUNCEMENT, config_option, read_settings
from ..options import Invocation, command, confirm, pass_invocation

if TYPE_CHECKING:
    from ...settings import Settings
    from ..offline.running_daemon import ProcessEnd, RunningDaemon

MARGIN_S: Final = 30.0
"""Beyond `supervisor.stop_s`: embedded servers stop after the daemon's own parts."""
FORCED_S: Final = 10.0
"""A forced end takes two seconds."""
AGAIN_S: Final = 0.5
"""Until the next signal that forces: of two that wait to be delivered the kernel keeps one."""
EFFECT: Final = "agents with a gate halt within 3.5 s, agents without one go on"
_LIVE: Final = "live"


@command(
    "stop",
    examples="""
        orc stop
        orc stop --drain 10s
    """,
)
@click.option("--drain", metavar="TIME", help="After so long, end by force; the journal keeps all.")
@config_option
@pass_invocation
def stop_command(invocation: Invocation, *, drain: str | None, config: Path | None) -> int:
    """End the daemon of this machine in order (SIGTERM), and wait for its end.

    This does not stop trading as `halt` does: no stop is engaged, and trading goes on by itself
    once a daemon runs again. Agents that the daemon runs are stopped with it. Others with a gate
    halt within 3.5 s, when their permit runs out; those without a gate go on.

    Exit code 6 if it has not ended in time, 7 if it was ended by force.
    """
    from ..offline.running_daemon import find_daemon

    limit_s = None if drain is None else _seconds(drain)
    if invocation.line_names_target:
        raise BadUsage(
            "`stop` ends the daemon of this folder; --url and --context do not lead to another",
            advice="run it on the other's machine, or name its settings with -c",
        )
    settings = read_settings(config)
    daemon = find_daemon(settings.data.dir)
    _announce(invocation, settings, daemon.pid)
    began = time.monotonic()
    forced = _end(daemon, settings.supervisor.stop_s + MARGIN_S, force_after_s=limit_s)
    took_s = round(time.monotonic() - began, 3)
    _check_orderly(settings, daemon.pid)
    name, screen = settings.instance.name, invocation.screen
    how = "forced" if forced else "drained"
    row = {"instance": name, "pid": daemon.pid, "how": how, "took_s": took_s}
    said = "ended by force, what was not stored is in the journal" if forced else "ended in order"
    screen.record("stop", row, lambda: [f"{name}  {said}, after {duration(took_s)}"], "instance")
    if not screen.for_programs:
        screen.note(_next_words(settings, daemon.pid))
    return ExitCode.PARTIAL if forced else ExitCode.DONE


def _announce(invocation: Invocation, settings: "Settings", pid: int) -> None:
    """Say target and effect; ask where it is live."""
    name, env = settings.instance.name, settings.instance.env
    what = f"{name} ({env.upper()}), pid {pid}. No stop is engaged, that is `halt`: {EFFECT}."
    if env == _LIVE:
        confirm(invocation, f"End {what}", typed=name)
    else:
        invocation.screen.note(f"ending {what}")


def _end(daemon: "RunningDaemon", limit_s: float, *, force_after_s: float | None) -> bool:
    """Ask it to end, and wait; whether it had to be forced.

    Raises:
        Failure: it has not ended.
    """
    with daemon.end() as end:
        daemon.send(signal.SIGTERM)
        if end.wait(limit_s if force_after_s is None else force_after_s):
            return False
        if force_after_s is None:
            raise _late(daemon.pid, limit_s)
        return _force(daemon, end, force_after_s + FORCED_S)


def _force(daemon: "RunningDaemon", end: "ProcessEnd", limit_s: float) -> bool:
    """Send again and again what forces it; whether that was needed.

    Raises:
        Failure: it has not ended after `limit_s` in all.
    """
    for sent in range(round(FORCED_S / AGAIN_S)):
        try:
            daemon.send(signal.SIGTERM)
        except Failure as failure:
            if failure.exit_code != ExitCode.UNREACHABLE:
                raise
            return sent > 0  # it has ended between two looks
        if end.wait(AGAIN_S):
            return True
    raise _late(daemon.pid, limit_s)


def _seconds(text: str) -> float:
    found = read_duration(text)
    if found is None:
        raise BadUsage(f"--drain {text!r} is not a time", advice="write 10s or 1m")
    return found


def _late(pid: int, limit_s: float) -> Failure:
    return Failure(
        f"the daemon (pid {pid}) has not ended within {duration(limit_s)}",
        code="timed_out",
        cause="it was asked to, and may still be draining",
        advice="see its log; `orchestrator stop --drain 0s` ends it by force",
        exit_code=ExitCode.TIMED_OUT,
    )


def _check_orderly(settings: "Settings", pid: int) -> None:
    """An orderly end takes its announcement away; a crash leaves it.

    Raises:
        Failure: it ended otherwise.
    """
    announced: Any = None
    with suppress(OSError, ValueError):
        announced = json.loads((settings.data.dir / ANNOUNCEMENT).read_bytes())
    if isinstance(announced, dict) and announced.get("pid") == pid:
        raise Failure(
            f"the daemon (pid {pid}) ended, but not in order",
            code="ended_unclean",
            cause="it was killed, or crashed, before it had closed everything",
            advice="see the end of its log; the next start resumes from the journal",
        )


def _next_words(settings: "Settings", pid: int) -> str:
    """Whether somebody has started it again already."""
    from ..offline.running_daemon import find_daemon

    with suppress(Failure):
        another = find_daemon(settings.data.dir)
        if another.pid != pid:
            return f"another daemon of {settings.data.dir} runs already (pid {another.pid})"
    return "trading was not stopped by this, and goes on when a daemon runs again; see `orc halt`"
