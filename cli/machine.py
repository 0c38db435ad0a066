"""What this machine's settings say, for commands that work without the daemon.

Loads pydantic, and for embedded servers the runtime: only commands that need it import this.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from .commands.run import missing_extra
from .failures import ExitCode, Failure

if TYPE_CHECKING:
    from ..settings import Settings


def read_settings(config: Path | None) -> "Settings":
    """The settings that ``run`` would take.

    Raises:
        Failure: with all faults at once.
    """
    try:
        from ..settings import SettingsError, find_file, load
    except ModuleNotFoundError as error:
        raise missing_extra(error, "daemon") from error
    try:
        return load(config or find_file())
    except SettingsError as error:
        raise Failure(
            "the settings cannot be used",
            code="bad_settings",
            cause=str(error).replace("\n", "\n       "),
            advice="correct them, then `orchestrator config check`",
            exit_code=ExitCode.USAGE,
        ) from error
