"""The checkpoint of a long command: a small file next to its output, for `--resume`."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..errors import BadUsage, ExitCode, Failure


@dataclass
class Checkpoint:
    """The progress of a command, and the options that it was called with."""

    path: Path
    """The file."""
    options: dict[str, Any]
    """Options that must be the same on resumption."""
    since: str | None = None
    """Earliest time (ISO 8601); a duration counts from the first start."""
    until: str | None = None
    """Latest time (ISO 8601)."""
    up_to: int = 0
    """The last id to process."""
    last_id: int = 0
    """Everything up to this id has been processed."""
    done: int = 0
    """Number of events processed."""
    at: dict[str, int] = field(default_factory=dict)
    """Position in the output file."""

    def save(self) -> None:
        """Replace the file atomically; after a kill the previous one is intact."""
        from ...protocol.files import write_atomically

        values = asdict(self) | {"path": str(self.path)}
        write_atomically(self.path, json.dumps(values).encode())

    def remove(self) -> None:
        """Delete the file: the command is complete."""
        self.path.unlink(missing_ok=True)


def load_checkpoint(path: Path, options: dict[str, Any]) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        Failure: there is none, or it belongs to a command with other options.
    """
    try:
        fields = json.loads(path.read_text("utf-8"))
        found = Checkpoint(**(fields | {"path": path}))
    except FileNotFoundError as error:
        raise Failure(
            "there is nothing to resume",
            code="nothing_to_resume",
            cause=f"no {path}: the command never started, or is complete",
            advice="omit --resume",
            exit_code=ExitCode.NOT_FOUND,
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Failure(
            f"cannot read {path}",
            code="unreadable",
            cause=str(error),
            advice="start again without --resume",
        ) from error
    if found.options != options:
        differing = [name for name in options if options[name] != found.options.get(name)]
        raise BadUsage(
            f"{path} belongs to a command with another {' and '.join(differing)}",
            advice="give the same options, or start again without --resume",
        )
    return found
