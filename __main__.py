"""The commands ``orchestrator`` and ``orc``, and ``python -m orchestrator``."""

import sys
from collections.abc import Sequence
from contextlib import suppress

# Commands that host greenlets; everything else runs unpatched.
_DAEMON_COMMANDS = ("run", "demo")
# Options before the command whose value is a word of its own.
_VALUED_OPTIONS = (
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
    if _command(sys.argv[1:]) in _DAEMON_COMMANDS:
        # A plain installation has no gevent: the command itself says what to install.
        with suppress(ModuleNotFoundError):
            from gevent import monkey

            monkey.patch_all()
    from .cli import main as cli_main

    cli_main()


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
