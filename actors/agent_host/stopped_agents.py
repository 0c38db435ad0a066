"""Which agents an operator has stopped: they stay stopped when the daemon starts again."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ...protocol.files import write_atomically


class StoppedAgents:
    """``<data>/stopped-agents.json``: a list of ids, on disk before a stop is answered.

    A file that cannot be read counts as empty: agents start as the settings say.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ids = _read(path)

    def __contains__(self, agent_id: str) -> bool:
        return agent_id in self._ids

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._ids))

    def note(self, agent_id: str, *, stopped: bool) -> None:
        """Remember, or forget, that an operator has stopped the agent.

        Raises:
            OSError: The disk refused; then nothing has changed.
        """
        ids = self._ids | {agent_id} if stopped else self._ids - {agent_id}
        if ids != self._ids:
            write_atomically(self._path, json.dumps(sorted(ids)).encode())
            self._ids = ids


def _read(path: Path) -> frozenset[str]:
    with suppress(OSError, ValueError):
        found = json.loads(path.read_text())
        if isinstance(found, list):
            return frozenset(one for one in found if isinstance(one, str))
    return frozenset()
