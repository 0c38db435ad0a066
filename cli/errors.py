"""Failures of commands: one sentence, one cause, one next step, and an exit code."""

from enum import IntEnum
from typing import Any

import click


class ExitCode(IntEnum):
    """Exit codes of all commands; part of the interface."""

    DONE = 0
    """Done; of a check: healthy."""
    FAILED = 1
    """It failed; of a check: a warning."""
    USAGE = 2
    """Wrong usage; of a check: critical."""
    UNREACHABLE = 3
    """The daemon cannot be reached or cannot answer now; of a check: unknown."""
    FORBIDDEN = 4
    """Not permitted: no token, an invalid one, or an insufficient role."""
    NOT_FOUND = 5
    """It does not exist."""
    TIMED_OUT = 6
    """Timed out waiting."""
    PARTIAL = 7
    """Done in part."""
    INTERRUPTED = 130
    """Ctrl-C."""
    BROKEN_PIPE = 141
    """The reader of the output closed it, as ``| head`` does."""


class Failure(Exception):
    """A command failed.

    Args:
        what: one sentence, without a full stop.
        code: a stable word for scripts, such as ``unreachable``.
        cause: why, if more is known than the sentence says.
        advice: the next step.
        exit_code: for the shell.
    """

    def __init__(
        self,
        what: str,
        *,
        code: str,
        cause: str = "",
        advice: str = "",
        exit_code: ExitCode = ExitCode.FAILED,
    ) -> None:
        super().__init__(what)
        self.message = what
        self.code = code
        self.cause = cause
        self.advice = advice
        self.exit_code = exit_code

    def as_json(self) -> dict[str, Any]:
        """What ``-o json`` prints: ``{"error": {code, message, cause, next, exit_code}}``."""
        return {
            "error": {
                "code": self.code,
                "message": self.message,
                "cause": self.cause or None,
                "next": self.advice or None,
                "exit_code": int(self.exit_code),
            }
        }

    def lines(self) -> list[tuple[str, str]]:
        """Label and text of each line for a person; empty ones are omitted."""
        fields = [("error", self.message), ("cause", self.cause), ("next", self.advice)]
        return [(label, text) for label, text in fields if text]


class BadUsage(Failure):
    """The command line itself is wrong."""

    def __init__(self, what: str, *, cause: str = "", advice: str = "") -> None:
        super().__init__(what, code="usage", cause=cause, advice=advice, exit_code=ExitCode.USAGE)


def from_usage_error(error: click.UsageError) -> Failure:
    """A usage error of click as a `Failure`."""
    path = error.ctx.command_path if error.ctx else "orchestrator"
    message = " ".join(error.format_message().split()).rstrip(".")
    return BadUsage(message[:1].lower() + message[1:], advice=f"see `{path} --help`")
