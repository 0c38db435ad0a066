"""The end of the daemon: what nobody has taken from the persister's mailbox goes into the journal.

Those that stop after the persister (or are killed beside it) may still tell it something; and a
disk that hangs may keep it from journalling all it took in. The next daemon stores what is
journalled. What the disk does not take even now is lost: it is a dead letter, counted in the log.
"""

import time
from typing import Final

import structlog

from ...runtime import Address, give_way
from ..messages.event_persister import PersistEvents, PersistReplies
from .state import Ledger

LIMIT_S: Final = 3.0
_REASON: Final = "the daemon has stopped, and the disk did not take it"

_log = structlog.get_logger(actor="EventPersister")


def sweep(ledger: Ledger, address: Address, *, limit_s: float = LIMIT_S) -> int:
    """Journal what waits, and close the address; waits for the disk.

    What was read of the durable stream stays there, and is read again by the next daemon.

    Args:
        ledger: The persister's, still open; no incarnation runs any more.
        address: The persister's.
        limit_s: For all of it.

    Returns:
        The events that are lost.
    """
    for envelope in address.mailbox.take_all():
        if envelope.reply_to is None and isinstance(
            envelope.message, PersistReplies | PersistEvents
        ):
            ledger.intake.put(envelope.message)
    address.close()
    until = time.monotonic() + limit_s
    while (ledger.intake or ledger.in_hand) and time.monotonic() < until:
        ledger.intake.examine_next(ledger.former, give_way)
        hand = ledger.prepare()
        if hand is not None:
            ledger.append(hand)
            ledger.finish(hand)
            hand.passed_on()
        elif not ledger.has_work():
            break
    return _give_up(ledger, address)


def _give_up(ledger: Ledger, address: Address) -> int:
    lost = ledger.appending.rows
    for message, left in ledger.intake.take_rest():
        address.dead_letters.add(address.name, message, _REASON)
        lost += left
    if lost:
        _log.error("events are lost: the disk did not take them before the end", events=lost)
    return lost
