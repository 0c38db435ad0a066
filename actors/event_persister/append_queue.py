"""Offers batches to the journal, in order; what the disk refuses waits in memory."""

import time
from collections import deque
from collections.abc import Callable
from typing import Final

import structlog

from ..journal.journal import Journal, JournalUnavailable
from ..journal.record_format import RecordKind
from .current import InHand

# A disk that refused an append is asked again after so long.
JOURNAL_RETRY_S: Final = 1.0


class Appending:
    """The batches that the journal does not have yet.

    Args:
        journal: Takes them.
        stored_number: Up to which number they are in PostgreSQL: the journal need not have those.
    """

    def __init__(self, journal: Journal, stored_number: Callable[[], int]) -> None:
        self.error: str | None = None
        """Why the journal does not take events at this moment, if so."""
        self._journal = journal
        self._stored_number = stored_number
        self._waiting: deque[InHand] = deque()
        self._again_at = 0.0
        self._log = structlog.get_logger(actor="EventPersister")

    def __bool__(self) -> bool:
        return bool(self._waiting)

    @property
    def rows(self) -> int:
        """Rows that neither the journal nor PostgreSQL has."""
        stored_number = self._stored_number()
        return sum(
            hand.batches[0].rows
            for hand in self._waiting
            if hand.kind is not RecordKind.IDS and hand.number > stored_number
        )

    def put(self, hand: InHand) -> None:
        """Append ``hand`` to those that wait, unless a predecessor did so before it failed."""
        if hand not in self._waiting:
            self._waiting.append(hand)

    def forget_given_up(self) -> None:
        """Let go of batches of which nothing is left: the disk may refuse them for hours."""
        self._waiting = deque(hand for hand in self._waiting if not _is_given_up(hand))

    def offer(self) -> bool:
        """Offer to the journal what it does not have; waits for the worker.

        Returns:
            Whether there was something, and the journal has all of it now.
        """
        if not self._waiting or time.monotonic() < self._again_at:
            return False
        try:
            while self._waiting:
                self._append_first()
        except JournalUnavailable as error:
            self._again_at = time.monotonic() + JOURNAL_RETRY_S
            if self.error is None:
                self._log.error("events are kept in memory only", reason=str(error))
            self.error = str(error)
            return False
        if self.error is not None:
            self._log.info("the journal takes events again")
            self.error = None
        return True

    def _append_first(self) -> None:
        hand = self._waiting[0]
        if hand.number > self._stored_number():
            self._journal.append(hand.record())
            rows_through = self._journal.head.rows_total
            for batch in hand.batches:
                batch.journalled = True
                batch.rows_through = batch.rows_through or rows_through
        self._waiting.popleft()


def _is_given_up(hand: InHand) -> bool:
    batch = hand.batches[0]
    return hand.kind is RecordKind.EVENTS and not batch.rows and batch.shed_for > 0
