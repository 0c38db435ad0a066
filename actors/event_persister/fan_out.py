"""Passes events on to those who show them, without ever waiting."""

from collections.abc import Mapping

from ...runtime import Address
from ..events import Event
from ..messages.events import EventReplaced, EventsJournalled
from .state import Ledger

STOPS = "risk."


class Showing:
    """The persister's consumers.

    Args:
        consumers: Get ``EventsJournalled`` and ``EventReplaced`` by ``offer``: their own
            mailboxes' policies decide what happens when they are full. Each gets events of the
            types named beside it only (None: all), so that no flood of others fills its mailbox.
        ledger: Counts what was refused.
    """

    def __init__(self, consumers: Mapping[Address, frozenset[str] | None], ledger: Ledger) -> None:
        self._consumers = dict(consumers)
        self._ledger = ledger

    def show(self, events: tuple[Event, ...]) -> None:
        """Pass on a batch; never lets go of the loop."""
        message = EventsJournalled(events)
        types = {event.type for event in events}
        for consumer, wanted in self._consumers.items():
            if wanted is None or types <= wanted:
                self._offer(consumer, message)
            elif not types.isdisjoint(wanted):
                part = tuple(event for event in events if event.type in wanted)
                self._offer(consumer, EventsJournalled(part))

    def replace(self, event: Event) -> None:
        """Tell that PostgreSQL refused an event, and what stands at its id."""
        for consumer, wanted in self._consumers.items():
            if (wanted is None or event.type in wanted) and not consumer.offer(
                EventReplaced(event)
            ):
                self._ledger.not_offered += 1

    def _offer(self, consumer: Address, message: EventsJournalled) -> None:
        if not consumer.offer(message):
            self._note_refused(consumer, message.events)

    def _note_refused(self, consumer: Address, events: tuple[Event, ...]) -> None:
        """A full mailbox: stops still get through by the urgent lane, the others do not."""
        stops = tuple(event for event in events if event.type.startswith(STOPS))
        if stops:
            consumer.offer(EventsJournalled(stops), urgent=True)
        self._ledger.not_offered += 1
