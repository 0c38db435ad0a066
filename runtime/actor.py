"""The actor: pykka's, as a greenlet that reads a mailbox which outlives it.

A run's life, and its hooks in order::

    __init__ ─▶ on_start ─▶ (on_receive | timers)… ─┬─ stopped ─▶ on_stop ────┬─▶ linked greenlets
                   │                │               │                         │   end, exit reported
                   └── raises ──────┴── raises ─────┴─ killed ──▶ on_failure ─┘    to the supervisor
"""

import time
from collections.abc import Callable
from typing import Any, ClassVar

import pykka
from gevent import Greenlet

from ._envelope import Envelope
from ._future import DeferredReply, GreenletFuture
from .actor_run import ActorRun, ExitKind, Killed
from .address import BUCKETS_S, Address
from .errors import (
    LinkedGreenletFailed,
    Refusal,
    reason_of,
)
from .messages import LinkedEnded, Ping, RuntimeMessage, Stop, Tick
from .timer import Timer, give_way

__all__ = ["Actor", "DeferredReply", "ExitKind", "ping"]

# A busy actor yields after this long, so that others run.
YIELD_AFTER_S = 0.002


class Actor(ActorRun):
    """Base of all actors.

    A subclass stores its arguments in ``__init__`` (after ``super().__init__()``), opens
    what it needs in ``on_start``, and dispatches in ``on_receive``. All hooks and all
    timers run in the actor's own greenlet, one at a time.
    """

    drain_on_stop: ClassVar[bool] = False
    """Whether pending messages are handled before ``on_stop``."""

    # -- for subclasses ----------------------------------------------------------------------

    def spawn(self, function: Callable[..., object], *args: Any, name: str) -> Greenlet:
        """Run ``function`` in a linked greenlet.

        Its failure is the actor's failure, and so is its being killed by anyone else; it is
        killed when the actor ends. It may return at any time.
        """
        return self._resources.spawn(f"{self.address.name}-{name}", function, args)

    def every(self, seconds: float, function: Callable[[], object]) -> Timer:
        """Call ``function`` in the actor each ``seconds``, first after ``seconds``."""
        return self._resources.add_timer(self.address.mailbox, seconds, function, repeat=True)

    def after(self, seconds: float, function: Callable[[], object]) -> Timer:
        """Call ``function`` in the actor once, after ``seconds``."""
        return self._resources.add_timer(self.address.mailbox, seconds, function, repeat=False)

    def defer_reply(self) -> DeferredReply:
        """Answer the current ask later; this handler's return value is ignored.

        The reply to a tell is discarded. If the actor ends first, the asker gets
        ``ActorFailed``.
        """
        envelope = self._current[0]
        future = envelope.reply_to if envelope.reply_to is not None else GreenletFuture()
        self._current[0] = Envelope(envelope.message, None)
        return DeferredReply(future, self._pending_replies)

    def take_waiting(self, cls: type, limit: int) -> list[Any]:
        """Take further messages of ``cls`` from the head of the normal lane, at most ``limit``.

        They belong to the current message: if the handler fails, all become dead letters.
        """
        taken = self.address.mailbox.take_matching(cls, limit)
        self._current.extend(taken)
        return [envelope.message for envelope in taken]

    def stop(self) -> None:
        """End after the current message, as if stopped by the supervisor."""
        self.address.mailbox.put_system(Envelope(Stop()))

    def describe_children(self) -> list[dict[str, Any]]:
        """The actors below this one, for ``/runtime/actors``; a supervisor has some."""
        return []

    def addresses_below(self) -> list[Address]:
        """The addresses of the actors below this one; a supervisor has some."""
        return []

    # -- the loop ----------------------------------------------------------------------------

    def _actor_loop(self) -> None:
        failure: BaseException | None = None
        try:
            self.on_start()
            self._receive_until_stopped()
        except BaseException as error:  # noqa: BLE001 the border: every end is noticed here
            failure = error
        try:
            self._finish(failure)
        except BaseException as error:  # noqa: BLE001 killed while cleaning up
            self._record_failure(error)
        finally:
            self._release_everything()

    def _receive_until_stopped(self) -> None:
        mailbox = self.address.mailbox
        while not self._stopping:
            mailbox.wait()
            if self._handle_burst():
                give_way()
        if self.drain_on_stop and self._killed_for is None:
            self._drain()
        if self._killed_for is not None:  # its code has swallowed the kill
            raise Killed(self._killed_for)

    def _handle_burst(self) -> bool:
        """Handle pending messages for at most 2 ms. Returns whether more may be pending."""
        poll, handle, clock = self.address.mailbox.poll, self._handle, time.perf_counter
        handling, slow_s = self.address.handling, BUCKETS_S[0]
        turns = 0
        begin = now = last = clock()
        until = begin + YIELD_AFTER_S
        try:
            while now < until and not self._stopping:
                if (envelope := poll()) is None:
                    return False
                turns += 1
                handle(envelope)
                now = clock()
                if now - last > slow_s:
                    handling.note_slow(now - last)
                last = now
        finally:
            handling.turns += turns
            handling.busy_s += now - begin
        return True

    def _drain(self) -> None:
        mailbox = self.address.mailbox
        while not mailbox.empty() and self._killed_for is None:
            self._handle(mailbox.get())
            give_way()

    def _handle(self, envelope: Envelope[Any]) -> None:
        message = envelope.message
        if isinstance(message, RuntimeMessage):
            self._handle_internal(message, envelope.reply_to)
            return
        current = self._current
        current.append(envelope)
        try:
            answer = self.on_receive(message)
        except Refusal as refusal:
            if (future := current[0].reply_to) is None:
                raise
            future.set_exception((type(refusal), refusal, None))
        else:
            if (future := current[0].reply_to) is not None:
                future.set(answer)
        self.address.processed += len(current)
        current.clear()

    def _handle_internal(self, message: RuntimeMessage, reply_to: pykka.Future[Any] | None) -> None:
        match message:
            case Tick():
                message.run()
            case Ping():
                if reply_to is not None:
                    reply_to.set(True)
            case Stop():
                self._stopping = True
            case LinkedEnded():
                if isinstance(message.error, LinkedGreenletFailed):
                    raise message.error
                failed = LinkedGreenletFailed(message.name, reason_of(message.error))
                raise failed from message.error


def ping(address: Address, timeout_s: float) -> None:
    """Ping the actor behind ``address``; bypasses a full mailbox.

    Raises:
        pykka.Timeout: No answer within ``timeout_s``.
    """
    future = GreenletFuture()
    address.mailbox.put_system(Envelope(Ping(), future))
    future.get(timeout=timeout_s)
