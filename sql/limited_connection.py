"""A connection that is given up when its server does not answer.

`statement_timeout` is the server's: one that is frozen, or behind a proxy that holds the connection
of a dead one open, keeps none. TCP keepalives do not help where the kernel still answers.
"""

import time
from collections.abc import Generator
from typing import Any, Final, TypeVar

import psycopg

T = TypeVar("T")

MARGIN_S: Final = 0.5
"""What an answer may take on its way beyond the server's own limit of the statement."""
DEFAULT_LIMIT_S: Final = 5.0
"""For what is asked outside of transactions: settings at the connect, the pool's own checks."""

_NOTHING: Final = 0
"""What psycopg sends into its generators when a while has passed without news (READY_NONE)."""


class LimitedConnection(psycopg.Connection[tuple[Any, ...]]):
    """psycopg's, with a limit of the wait for each answer.

    Attributes:
        answer_within_s: the limit; beyond it the connection is closed, and the call raises
            `OperationalError`. Data that has arrived is always taken.
    """

    answer_within_s: float = DEFAULT_LIMIT_S

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **kwargs: Any) -> T:
        """Run one of psycopg's generators within the limit."""
        return super().wait(self._limited(gen), *args, **kwargs)

    def _limited(self, gen: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
        until = time.monotonic() + self.answer_within_s
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if ready == _NOTHING and time.monotonic() >= until:
                    self.pgconn.finish()
                    raise psycopg.OperationalError(
                        f"no answer within {self.answer_within_s:g} s, connection given up"
                    )
                wanted = gen.send(ready)
        except StopIteration as end:
            value: T = end.value
            return value
