"""The commands ``orchestrator`` and ``orc``, and ``python -m orchestrator``."""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress

# Commands that host greenlets; everything else runs unpatched.
_DAEMON_COMMANDS = ("run", "demo")
# Options before the command whose value is a word of its own.
_VALUED_OPTIONS = (
    "--context",
    "--url",
    "--token-file",
    "--ca-file",
    "-o",
    "--output",
    "--time",
    "--timeout",
    "--color",
)


def main() -> None:
    """Run the command line; patch the standard library first if it is a daemon's."""
    is_daemon = _command(sys.argv[1:]) in _DAEMON_COMMANDS
    _open_standard_streams(os.O_RDONLY if is_daemon else os.O_RDWR)
    if is_daemon:
        # A plain installation has no gevent: the command itself says what to install.
        with suppress(ModuleNotFoundError):
            from gevent import monkey

            monkey.patch_all()
    from .cli import main as cli_main

    cli_main()


def _open_standard_streams(flags: int) -> None:
    """Put ``/dev/null`` where one was closed: else its number is the next socket's.

    Args:
        flags: Read-only lets each write fail, and so be counted.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, flags)  # takes the lowest number that is free: this one
            mode = "w" if number else "r"
            setattr(sys, name, os.fdopen(number, mode, closefd=False))


def _command(words: Sequence[str]) -> str:
    """The first word that is neither an option nor an option's value."""
    is_value = False
    for word in words:
        if not is_value and not word.startswith("-"):
            return word
        is_value = not is_value and word in _VALUED_OPTIONS
    return ""


if __name__ == "__main__":
    main()
