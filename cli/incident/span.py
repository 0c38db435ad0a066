"""The time that an incident's archive covers."""

from dataclasses import dataclass
from datetime import datetime

from ...protocol.timestamps import timestamp


@dataclass(frozen=True)
class Span:
    """From ``begin`` to ``end``, both included, around ``moment``."""

    begin: datetime
    moment: datetime
    end: datetime

    @property
    def begin_text(self) -> str:
        """The contract's form of its begin."""
        return timestamp(self.begin.timestamp())

    @property
    def end_text(self) -> str:
        """Of its end."""
        return timestamp(self.end.timestamp())

    @property
    def moment_text(self) -> str:
        """Of its middle."""
        return timestamp(self.moment.timestamp())

    def holds(self, text: str) -> bool:
        """Whether a time in the contract's form is in it."""
        return self.begin_text <= text <= self.end_text
