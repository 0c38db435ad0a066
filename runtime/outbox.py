"""A bounded outbox for messages against the flow, which prevents deadlocks."""

from collections import deque
from collections.abc import Callable

from gevent.event import Event

from .address import Address


class Outbox:
    """Holds messages for ``to`` until it has room; never blocks its owner.

    The owner runs :meth:`pump` in a linked greenlet. When ``capacity`` messages are pending, the
    oldest is dropped, counted in :attr:`dropped`, and passed to ``on_drop``. With ``urgent`` its
    messages go to the urgent lane.
    """

    def __init__(
        self,
        to: Address,
        capacity: int = 1000,
        on_drop: Callable[[object], None] | None = None,
        *,
        urgent: bool = False,
    ) -> None:
        self._to = to
        self._capacity = capacity
        self._on_drop = on_drop
        self._urgent = urgent
        self._waiting: deque[object] = deque()
        self._filled = Event()
        self._sending = False
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def send(self, message: object) -> None:
        """Send ``message`` now if there is room, else keep it; never blocks."""
        if not self._waiting and not self._sending and self._to.offer(message, urgent=self._urgent):
            return
        if len(self._waiting) >= self._capacity:
            victim = self._waiting.popleft()
            self.dropped += 1
            if self._on_drop is not None:
                self._on_drop(victim)
        self._waiting.append(message)
        self._filled.set()

    def pump(self) -> None:
        """Forward pending messages until killed. Run it in a linked greenlet."""
        while True:
            self._filled.wait()
            self._filled.clear()
            while self._waiting:
                self._pass_on(self._waiting.popleft())

    def _pass_on(self, message: object) -> None:
        self._sending = True
        try:
            self._to.tell(message, urgent=self._urgent)
        except BaseException:  # killed while waiting for room: a successor's pump goes on with it
            self._waiting.appendleft(message)
            self._filled.set()
            raise
        finally:
            self._sending = False
