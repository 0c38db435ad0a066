"""Where a long command had got to: a small file beside its work, to go on from there."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..errors import BadUsage, ExitCode, Failure


@dataclass
class Checkpoint:
    """How far a command had got, and with which words it was called."""

    path: Path
    """The file."""
    words: dict[str, Any]
    """What must be the same for the work to go on."""
    since: str | None = None
    """Not before this time; a duration was counted from when it began."""
    until: str | None = None
    """Not after this time."""
    up_to: int = 0
    """The last id it is about."""
    last_id: int = 0
    """All up to this id is done."""
    done: int = 0
    """How many events that were."""
    at: dict[str, int] = field(default_factory=dict)
    """Where in its output it is."""

    def save(self) -> None:
        """Write it; whoever is killed in between finds the one before."""
        from ...runtime.files import write_atomically

        values = asdict(self) | {"path": str(self.path)}
        write_atomically(self.path, json.dumps(values).encode())

    def remove(self) -> None:
        """The work is done."""
        self.path.unlink(missing_ok=True)


def load_checkpoint(path: Path, words: dict[str, Any]) -> Checkpoint:
    """The bookmark that is there.

    Raises:
        Failure: there is none, or it is of a command with other words.
    """
    try:
        told = json.loads(path.read_text("utf-8"))
        found = Checkpoint(**(told | {"path": path}))
    except FileNotFoundError as error:
        raise Failure(
            "there is nothing to go on with",
            code="nothing_to_resume",
            cause=f"no {path}: it never began, or it is done",
            advice="leave --resume out",
            exit_code=ExitCode.NOT_FOUND,
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Failure(
            f"cannot read {path}", code="unreadable", cause=str(error), advice="start anew"
        ) from error
    if found.words != words:
        differing = [name for name in words if words[name] != found.words.get(name)]
        raise BadUsage(
            f"{path} is of a command with another {' and '.join(differing)}",
            advice="give the same options again, or start anew without --resume",
        )
    return found
