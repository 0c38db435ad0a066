"""What looks after the process groups of children when the daemon is gone."""

from collections.abc import Mapping
from typing import Protocol


class GroupWatch(Protocol):
    """Ends what a dead daemon leaves; the guard is one."""

    def watch(self, group: int) -> None:
        """End that process group when the daemon is gone."""

    def forget(self, group: int) -> None:
        """The group has ended."""

    def child_environment(self, child: str) -> Mapping[str, str]:
        """What a child process needs in its environment to be found."""

    def stragglers(self, child: str) -> list[int]:
        """Processes below ``child`` that left its process group."""
