"""The address of an actor: what its peers hold; it outlives the actor's runs."""

import time
from bisect import bisect_left
from typing import Any, Final

import pykka

from ._envelope import Envelope
from ._future import GreenletFuture
from .dead_letters import DeadLetters
from .errors import ActorUnavailable, AskTimeout, MailboxClosed
from .mailbox import Mailbox

BUCKETS_S: Final = (0.001, 0.005, 0.02, 0.1, 0.5, 1.0, 5.0)
"""From not worth counting to a hang; a turn should take at most 0.02."""


class HandlingTimes:
    """A histogram of handling times that costs the hot path a sum: fast turns are not sorted in."""

    __slots__ = ("_slow", "busy_s", "turns")

    def __init__(self) -> None:
        self.turns = 0
        """All turns; the actor's loop counts them."""
        self.busy_s = 0.0
        """Their seconds together."""
        self._slow = [0] * len(BUCKETS_S)

    def note(self, seconds: float) -> None:
        """Count a turn that took so long."""
        self.turns += 1
        self.busy_s += seconds
        if seconds > BUCKETS_S[0]:
            self.note_slow(seconds)

    def note_slow(self, seconds: float) -> None:
        """Sort in a turn of more than the first bound."""
        self._slow[bisect_left(BUCKETS_S, seconds) - 1] += 1

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative counts by upper bound, as Prometheus has them, ``+Inf`` last."""
        count = self.turns - sum(self._slow)
        found = [(str(BUCKETS_S[0]), float(count))]
        for bound, slow in zip((*map(str, BUCKETS_S[1:]), "+Inf"), self._slow, strict=True):
            count += slow
            found.append((bound, float(count)))
        return found


class Address:
    """A name with a mailbox, shared by the successive runs of one actor.

    A restarted actor finds the pending messages in its mailbox; senders do not notice.

    Args:
        name: Unique in its daemon; appears in logs, metrics and ``/runtime/actors``.
        mailbox: Pending messages; by default one that holds 1,000 and blocks senders.
        dead_letters: Where unhandled messages go.
    """

    def __init__(
        self,
        name: str,
        mailbox: Mailbox | None = None,
        dead_letters: DeadLetters | None = None,
    ) -> None:
        self.name = name
        self.mailbox = mailbox if mailbox is not None else Mailbox()
        self.mailbox.owner = name
        self.dead_letters = dead_letters if dead_letters is not None else DeadLetters()
        self.closed = False
        self.processed = 0
        """Messages handled by all runs together."""
        self.handling = HandlingTimes()
        """How long handling took."""

    def __repr__(self) -> str:
        return f"<Address {self.name}>"

    def tell(
        self, message: object, *, urgent: bool = False, timeout_s: float | None = None
    ) -> None:
        """Send ``message``; when the mailbox is full its policy decides.

        A message to an address that is closed becomes a dead letter.

        Raises:
            MailboxFull: The policy refuses, or ``timeout_s`` passed while waiting for room.
        """
        if self.closed:
            self.dead_letters.add(self.name, message, "the actor has stopped")
            return
        try:
            self.mailbox.put(Envelope(message), urgent=urgent, timeout_s=timeout_s)
        except MailboxClosed:
            self.dead_letters.add(self.name, message, "the actor has stopped")

    def offer(self, message: object, *, urgent: bool = False) -> bool:
        """Send ``message`` if there is room now; never blocks. Returns whether it was sent."""
        if self.closed:
            self.dead_letters.add(self.name, message, "the actor has stopped")
            return True
        return self.mailbox.offer(Envelope(message), urgent=urgent)

    def ask(self, message: object, *, timeout_s: float, urgent: bool = False) -> Any:
        """Send ``message`` and wait for the answer; ``timeout_s`` covers both.

        Raises:
            AskTimeout: No answer in time (the actor may be restarting, or busy).
            ActorUnavailable: It has stopped for good.
            ActorFailed: It crashed on this message.
            MailboxFull: There was no room for the question.
            Refusal: The actor refused.
        """
        if self.closed:
            raise ActorUnavailable(self.name)
        future = GreenletFuture()
        until = time.monotonic() + timeout_s
        try:
            self.mailbox.put(Envelope(message, future), urgent=urgent, timeout_s=timeout_s)
        except MailboxClosed:
            raise ActorUnavailable(self.name) from None
        try:
            return future.get(timeout=max(0.0, until - time.monotonic()))
        except pykka.Timeout:
            raise AskTimeout(self.name, timeout_s) from None

    def close(self, reason: str = "the actor has stopped") -> None:
        """Close it: pending messages become dead letters, askers get ``ActorUnavailable``."""
        self.closed = True
        for envelope in self.mailbox.close():
            if envelope.reply_to is not None:
                error = ActorUnavailable(self.name)
                envelope.reply_to.set_exception((type(error), error, None))
            elif not getattr(envelope.message, "runtime_internal", False):
                self.dead_letters.add(self.name, envelope.message, reason)
