"""The command line: ``orchestrator`` and ``orc``.

Commands are imported when called, and client commands import neither gevent nor pydantic nor redis,
so that they start fast.
"""

import importlib
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from .. import __version__
from .errors import BadUsage, ExitCode, Failure, from_usage_error
from .options import Group, Invocation
from .output import OUTPUTS

__all__ = ["cli", "main", "run"]

# Name → module in `commands`, and the help in the list of commands; by area, as the help has them.
AREAS: dict[str, dict[str, tuple[str, str]]] = {
    "Run": {
        "run": ("run", "Run the daemon in the foreground."),
        "demo": ("run", "Run with embedded servers and three sample agents."),
        "stop": ("stop", "End the daemon in order. Stops no trading: that is `halt`."),
        "reload": ("reload", "Have the daemon read its settings again."),
    },
    "At a glance": {
        "status": ("status", "An overview in six lines."),
        "top": ("top", "Agents or topics, trouble first, refreshed."),
        "tree": ("tree", "The supervision tree: states, restarts, mailboxes."),
        "tail": ("event", "Follow events as they come."),
        "books": ("books", "Reconciliation of all events received since the start."),
        "doctor": ("doctor", "Check this machine and its servers, and say what to do."),
        "check": ("check", "One question of a monitoring system, by exit code."),
        "preflight": ("preflight", "Check what has to be true before trading begins."),
        "selftest": ("selftest", "Send one of everything through a running daemon."),
        "version": ("version", "The versions of this program and of the daemon."),
    },
    "Stop": {
        "halt": ("halt", "Stop trading, at once, by whatever way works."),
        "killswitch": ("killswitch", "Show the stop, and release it."),
        "rule": ("rule", "The rules that stop by themselves."),
        "audit": ("audit", "Who did what, and who was refused what."),
    },
    "Look and do": {
        "agent": ("agent", "List, run, start and stop agents."),
        "event": ("event", "Read, follow, emit, export and replay events."),
        "incident": ("incident", "Collect what was around a moment, in one archive."),
        "regime": ("state", "The market regime, as last detected."),
        "state": ("state", "State kept by the daemon, by key."),
    },
    "Set up": {
        "init": ("init", "Write the files for systemd, containers, proxies and monitoring."),
        "config": ("config", "Check and show the settings."),
        "journal": ("journal", "Show what is not in PostgreSQL yet."),
        "db": ("db", "Prepare, clean, back up and restore the database."),
        "backup": ("backup", "Restore a dump into a server of its own, and compare."),
        "notify": ("notify", "Try the notifications."),
        "context": ("context", "Name daemons, and choose the one that commands go to."),
        "token": ("token", "Make, list and revoke access tokens."),
        "env": ("env", "Addresses of the daemon and its servers, for a shell."),
        "examples": ("examples", "Examples of every command, by area."),
        "completion": ("completion", "Complete words in bash, zsh and fish."),
    },
}
_COMMANDS = {name: place for area in AREAS.values() for name, place in area.items()}


class LazyGroup(Group):
    """A group that imports a command when it is called, and lists them without."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """All names, in the order of the help."""
        return list(_COMMANDS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        cmd_name: str,
    ) -> click.Command | None:
        """Import the command; in its module it is called ``<name>_command``."""
        if cmd_name not in _COMMANDS:
            return None
        module_name, _ = _COMMANDS[cmd_name]
        module = importlib.import_module(f".commands.{module_name}", __package__)
        found: click.Command = getattr(module, f"{cmd_name}_command")
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or name the nearest one."""
        name = args[0]
        if name not in _COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            import difflib

            near = difflib.get_close_matches(name, _COMMANDS, n=1)
            hint = f"try `{ctx.command_path} {near[0]}`" if near else ""
            if near == ["halt"]:  # what is pasted from here must not stop trading
                hint = f"to stop trading see `{ctx.command_path} halt --help`"
            elif near == ["stop"]:  # nor end the daemon
                hint = f"to end the daemon see `{ctx.command_path} stop --help`"
            raise BadUsage(
                f"there is no command {name!r}", advice=hint or f"see `{ctx.command_path} --help`"
            )
        return super().resolve_command(ctx, args)

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        formatter: click.HelpFormatter,
    ) -> None:
        """The commands by area, without importing one."""
        for area, commands in AREAS.items():
            with formatter.section(area):
                formatter.write_dl([(name, text) for name, (_, text) in commands.items()])


def _tell_version(context: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001
    if value and not context.resilient_parsing:
        click.echo(f"orchestrator {__version__}")
        context.exit()


@click.command(
    "orchestrator",
    cls=LazyGroup,
    root=True,
    examples="""
        orc demo
        orc tail 'strategy.*'
        orc halt --reason "fat finger on AAPL"
    """,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_tell_version,
    help="Print the version and exit.",
)
def cli() -> None:
    """Event bus, agents, state and killswitch of a trading platform.

    Exit codes: 0 done or healthy, 1 failed or warning, 2 wrong usage or critical, 3 daemon not
    reached, 4 not permitted, 5 not found, 6 timed out waiting, 7 done in part, 130 interrupted.
    """


def main() -> None:
    """Run the command line of this process, and exit with its code."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a character the terminal lacks is no error
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit code."""
    invocation = Invocation(
        token=os.environ.get("ORCHESTRATOR_TOKEN") or None, output=_output_among(arguments)
    )
    try:
        return _run(arguments, invocation)
    except Failure as failure:
        return _failed(failure, invocation)
    except (KeyboardInterrupt, click.Abort):
        return int(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        # Python flushes stdout once more at its end, which must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(ExitCode.BROKEN_PIPE)
    except Exception as error:  # noqa: BLE001 - the border: one command
        return _failed(_fault(error), invocation)


def _failed(failure: Failure, invocation: Invocation) -> int:
    if invocation.verbose:
        sys.excepthook(*sys.exc_info())
    invocation.screen.failure(failure)
    return int(failure.exit_code)


def _fault(error: Exception) -> Failure:
    """The failure for an unexpected exception."""
    return Failure(
        "internal error",
        code="internal",
        cause=f"{type(error).__name__}: {error}",
        advice="report it with the traceback shown by -v",
    )


def _run(arguments: Sequence[str], invocation: Invocation) -> int:
    """As click's own `main`, which would turn a broken pipe into exit code 1."""
    program = _program()
    if instruction := os.environ.get(f"_{program.upper()}_COMPLETE"):
        from click.shell_completion import shell_complete

        return shell_complete(cli, {}, program, f"_{program.upper()}_COMPLETE", instruction)
    try:
        with cli.make_context(program, list(arguments), obj=invocation) as context:
            result: Any = cli.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return int(ExitCode.USAGE)
    except click.UsageError as error:
        raise from_usage_error(error) from error
    return result if isinstance(result, int) else int(ExitCode.DONE)


def _output_among(arguments: Sequence[str]) -> str | None:
    """The output format requested, for errors raised before the options are parsed."""
    for word, following in zip(arguments, [*arguments[1:], ""], strict=False):
        asked = following if word in ("-o", "--output") else word.removeprefix("--output=")
        if asked != word and asked in OUTPUTS:
            return asked
    return None


def _program() -> str:
    """``orc`` if it was called so, else the full name (also for ``python -m orchestrator``)."""
    return "orc" if Path(sys.argv[0]).name == "orc" else "orchestrator"
