"""How storing stands, in figures."""

from collections.abc import Sequence

from ..messages.event_persister import PersisterStatus
from .state import Ledger


def status_of(ledger: Ledger) -> PersisterStatus:
    """How storing stands; readable without the actor, for metrics."""
    head, report, accounts = ledger.journal.head, ledger.journal.report, ledger.accounts
    return PersisterStatus(
        received=dict(ledger.intake.received),
        journalled=dict(accounts.journalled),
        journalled_total=head.rows_total,
        stored=accounts.stored,
        rejected=accounts.rejected,
        dropped=accounts.dropped,
        copies=ledger.former.copies,
        echoes=ledger.former.echoed,
        clashes=accounts.clashes,
        not_offered=ledger.not_offered,
        pending=ledger.pending,
        held=len(ledger.held.front) + len(ledger.held.rear),
        ids_left=ledger.ids.left,
        newest_id=ledger.newest_id,
        committed_id=ledger.committed_id,
        journal_bytes=ledger.journal.size_bytes,
        journal_error=ledger.journal_error,
        store_error=ledger.store_error,
        damaged_places=report.damaged_places,
        missing_rows=report.missing_rows,
        memory_events=len(ledger.window),
        durable={
            "withheld": ledger.former.durable.withheld,
            "found": ledger.former.durable.found,
            "given_up": ledger.former.durable.given_up,
            "repeated": ledger.former.durable.repeated,
        },
        sequence_gaps=ledger.former.sequences.gaps,
        sequence_missing=ledger.former.sequences.missing,
        journal_latency_ms=percentiles(accounts.latencies_ms),
    )


def percentiles(samples: Sequence[float]) -> dict[str, float]:
    """``p50``, ``p95``, ``p99`` and ``max`` of ``samples``, zeros without any."""
    ordered = sorted(samples) or [0.0]
    places = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    found = {name: ordered[int(part * (len(ordered) - 1))] for name, part in places.items()}
    return {**found, "max": ordered[-1]}
