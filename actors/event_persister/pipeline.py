"""The journaller: a greenlet of the persister that forms batches, journals and shows them."""

from collections.abc import Callable
from itertools import islice
from typing import Any

from ...runtime import Address, give_way
from ..events import Event
from ..journal.rows import ids_of
from ..messages.event_persister import StoredEvent
from ..messages.events import StopHeard
from ..messages.heartbeat_monitor import Canary
from ..messages.redis_listener import Publish
from .current import InHand
from .fan_out import Showing
from .inbox import Taken
from .loader import Loader
from .state import Ledger


class Journaller:
    """One for each incarnation of the persister; what it has in hand outlives it in the ledger.

    Args:
        ledger: Outlives it.
        showing: To whom batches go.
        monitor: Gets each ``Canary``.
        stops: Gets ``StopHeard``.
        on_stream: Called when more of the durable stream is journalled.
        log: The actor's.
    """

    def __init__(  # noqa: PLR0913 wired in one place
        self,
        ledger: Ledger,
        showing: Showing,
        *,
        monitor: Address | None,
        stops: Address | None,
        on_stream: Callable[[], None],
        log: Any,
    ) -> None:
        self._ledger = ledger
        self._showing = showing
        self._monitor = monitor
        self._stops = stops
        self._on_stream = on_stream
        self._log = log
        self._held = Loader(ledger, ledger.held)

    def run(self) -> None:
        """Journal for ever."""
        ledger = self._ledger
        while True:
            ledger.to_journal.wait()
            ledger.to_journal.clear()
            ledger.append_waiting()
            while self._journal_next():
                give_way()

    def _journal_next(self) -> bool:
        """One batch: into the journal, then to those who show it."""
        ledger = self._ledger
        if ledger.ids.left:
            self._held.load()
        ledger.intake.examine_next(ledger.former, give_way)
        hand = ledger.prepare()
        if hand is None:
            self._pass_aside()
            return ledger.has_work()
        ledger.append(hand)
        self._pass_on(hand, ledger.finish(hand))
        self._pass_aside()
        if any(batch.stream for batch in hand.batches):
            self._on_stream()
        hand.passed_on()
        return True

    def _pass_aside(self) -> None:
        """What is not stored: canaries to the monitor, durable stops to the keeper of stops."""
        forming = self._ledger.forming
        aside, forming.aside = forming.aside, []
        for message in aside:
            if isinstance(message, Canary):
                if self._monitor is not None:
                    self._monitor.offer(message)
            elif self._stops is not None:
                self._stops.offer(StopHeard(message), urgent=True)

    def _pass_on(self, hand: InHand, events: tuple[Event, ...]) -> None:
        """Never lets go of the loop: whoever is killed has passed on all of a batch or nothing."""
        if events:
            self._showing.show(events)
        for taken in hand.taken:
            self._answer(hand, taken)

    def _answer(self, hand: InHand, taken: Taken) -> None:
        stop = taken.start + len(taken.message.events)
        given = islice(ids_of(hand.batches[0].ranges), taken.start, stop)
        ids: list[int | None] = [*given] or [None] * len(taken.rejected)
        if taken.reply is not None:
            times = hand.draft.times[taken.start : stop]
            taken.reply.set(tuple(map(StoredEvent, ids, times, taken.rejected)))
        self._log_requests(taken, ids)
        outbox = self._ledger.to_publish
        if taken.message.publish and outbox is not None:
            for event in taken.message.events:
                outbox.send(
                    Publish(event.type, event.payload, taken.message.reply_to, taken.message.tag)
                )

    def _log_requests(self, taken: Taken, ids: list[int | None]) -> None:
        """Lead from an HTTP request's id to the event that came of it."""
        for event, event_id in zip(taken.message.events, ids, strict=False):
            if event.request_id is not None:
                self._log.info(
                    "event journalled",
                    request_id=event.request_id,
                    event_id=event_id,
                    type=event.type,
                )
