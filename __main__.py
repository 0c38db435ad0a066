"""The commands ``orchestrator`` and ``orc``, and ``python -m orchestrator``."""

import sys

# Commands that host greenlets; everything else runs unpatched.
_DAEMON_COMMANDS = ("run", "demo")


def main() -> None:
    """Run the command line; patch the standard library first if it is a daemon's."""
    if next((word for word in sys.argv[1:] if not word.startswith("-")), "") in _DAEMON_COMMANDS:
        from gevent import monkey

        monkey.patch_all()
    from .cli import main as cli_main

    cli_main()


if __name__ == "__main__":
    main()
