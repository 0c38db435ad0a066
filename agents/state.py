"""What an agent keeps over its restarts: a JSON file of its own, replaced whole at each change.

::

    def on_start(self) -> None:
        self.position = self.state.get("position", 0.0)

    @on_event("strategy.fill")
    def on_fill(self, event: Event) -> None:
        self.position += event.payload["quantity"]
        self.state.set("position", self.position)

Once `State.set` has returned, the value is on disk: a ``kill -9`` or a power cut after it leaves
the new value, one during it the new or the old, never half. For little that matters (positions,
the last id that was worked on): each change writes the whole file and waits for the disk.
"""

import fcntl
import hashlib
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import quote

import msgspec

from ..protocol.files import write_atomically
from .errors import BadState

MAX_STATE_BYTES: Final = 1024 * 1024
"""Of the whole file: it is written at each change."""
FOLDER_VARIABLE: Final = "ORCHESTRATOR_STATE_DIR"
"""Where a daemon has its agents keep their state."""
_LONGEST_NAME: Final = 200
"""In bytes; file systems take 255, and the file has neighbours with suffixes."""


class Store(Protocol):
    """Where the bytes of one agent's state are."""

    def load(self) -> bytes | None:
        """All of it; ``None`` if nothing was ever kept.

        Raises:
            OSError: it cannot be read.
            BadState: another process has it.
        """

    def save(self, data: bytes) -> None:
        """Replace it; it is durable when this returns.

        Raises:
            OSError: the disk refused; nothing has changed.
        """

    def close(self) -> None:
        """Let another process have it."""


class FileStore:
    """A file that one process at a time may use, guarded by a lock file next to it.

    Args:
        path: the file; its folder is made when it is first used, for this account only.
        offload: runs calls that block on the disk.
    """

    def __init__(
        self, path: Path, offload: Callable[[Callable[[], Any]], Any] = lambda call: call()
    ) -> None:
        self._path = path
        self._offload = offload
        self._lock_file: int | None = None

    def load(self) -> bytes | None:
        """See `Store`."""
        data: bytes | None = self._offload(self._open)
        return data

    def _open(self) -> bytes | None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with self._path.open("rb") as file:
                data = file.read(MAX_STATE_BYTES + 1)
        except BlockingIOError:
            os.close(lock)
            raise BadState(
                f"another process uses {self._path}: is this agent running twice?"
            ) from None
        except FileNotFoundError:
            data = None
        except OSError:
            os.close(lock)
            raise
        self._lock_file = lock
        return data

    def save(self, data: bytes) -> None:
        """See `Store`."""
        self._offload(lambda: write_atomically(self._path, data))

    def close(self) -> None:
        """See `Store`."""
        lock, self._lock_file = self._lock_file, None
        if lock is not None:
            os.close(lock)


class State:
    """Values by name. Any thread. Nothing is opened before it is used.

    Args:
        store: where it is kept.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._values: dict[str, msgspec.Raw] | None = None
        self._lock = threading.Lock()

    def get(self, name: str, default: Any = None) -> Any:
        """The value, a fresh copy each time; ``default`` if there is none.

        Raises:
            BadState: what was kept cannot be read, or another process uses it.
        """
        with self._lock:
            kept = self._loaded().get(name)
        return default if kept is None else msgspec.json.decode(kept)

    def set(self, name: str, value: Any) -> None:
        """Keep a value that JSON can hold; on disk when this returns. Blocks.

        Raises:
            BadState: it is no JSON, the whole would be larger than `MAX_STATE_BYTES`, or the disk
                refused; then all is as it was.
        """
        self.update({name: value})

    def update(self, values: Mapping[str, Any]) -> None:
        """Keep several, all or none: one write. Raises as `set`."""
        try:
            encoded = {name: msgspec.Raw(msgspec.json.encode(one)) for name, one in values.items()}
        except (TypeError, ValueError, RecursionError) as error:
            raise BadState(f"not kept, since it is no JSON: {error}") from error
        with self._lock:
            self._save(self._loaded() | encoded)

    def delete(self, name: str) -> None:
        """Forget a value, if there is one. Raises as `set`."""
        with self._lock:
            values = self._loaded()
            if name in values:
                self._save({key: value for key, value in values.items() if key != name})

    def names(self) -> tuple[str, ...]:
        """What there is, in the order in which it came. Raises as `get`."""
        with self._lock:
            return tuple(self._loaded())

    def close(self) -> None:
        """Let another process have it; used again, it is read again."""
        with self._lock:
            self._values = None
            self._store.close()

    def _loaded(self) -> dict[str, msgspec.Raw]:
        if self._values is None:
            try:
                data = self._store.load()
                self._values = {} if data is None else _read(data)
            except OSError as error:
                raise BadState(f"the state cannot be read: {error}") from error
            except ValueError as error:
                self._store.close()
                raise BadState(f"the state is damaged, look at the file: {error}") from error
        return self._values

    def _save(self, values: dict[str, msgspec.Raw]) -> None:
        data = msgspec.json.encode(values)
        if len(data) > MAX_STATE_BYTES:
            raise BadState(f"not kept: the state would have {len(data)} bytes, over 1 MiB")
        try:
            self._store.save(data)
        except OSError as error:
            raise BadState(f"not kept: {error}") from error
        self._values = values


def _read(data: bytes) -> dict[str, msgspec.Raw]:
    if len(data) > MAX_STATE_BYTES:
        raise ValueError("it is larger than 1 MiB")
    return msgspec.json.decode(data, type=dict[str, msgspec.Raw])


def state_file(agent_id: str, folder: str | Path | None, environment: Mapping[str, str]) -> Path:
    """Where an agent's state is.

    Args:
        agent_id: the agent; characters that a file's name cannot have are escaped.
        folder: the author's or operator's choice. By default that of the daemon which runs the
            agent (`FOLDER_VARIABLE`), else ``orchestrator/agents`` where this account keeps state
            (``XDG_STATE_HOME``, ``~/.local/state``).
        environment: the process's.
    """
    name = quote(agent_id, safe="")
    if len(name) > _LONGEST_NAME:
        name = hashlib.sha256(agent_id.encode()).hexdigest()
    given = folder or environment.get(FOLDER_VARIABLE)
    if given:
        return Path(given) / f"{name}.json"
    home = environment.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "orchestrator" / "agents" / f"{name}.json"
