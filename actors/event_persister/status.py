"""How storing stands, in figures."""

import time
from collections.abc import Sequence

from ..messages.event_persister import PersisterStatus
from .state import PersisterState


def status_of(state: PersisterState) -> PersisterStatus:
    """How storing stands; readable without the actor, for metrics."""
    head, report, sums = state.journal.head, state.journal.report, state.reconciliation
    return PersisterStatus(
        received=dict(state.inbox.received),
        journalled=dict(state.journalled),
        journalled_total=head.rows_total,
        stored=sums.stored,
        rejected=sums.rejected,
        dropped=sums.dropped,
        copies=state.ingest.copies.total(),
        echoes=state.ingest.echoes.total(),
        clashes=sums.clashes,
        not_offered=state.not_offered,
        pending=state.pending,
        held=len(state.held.front) + len(state.held.rear),
        ids_left=state.ids.left,
        newest_id=state.newest_id,
        committed_id=state.committed_id,
        journal_bytes=state.journal.size_bytes,
        journal_error=state.journal_error,
        store_error=state.store_error,
        damaged_places=report.damaged_places,
        missing_rows=report.missing_rows,
        durable={
            "withheld": state.ingest.durable.withheld,
            "found": state.ingest.durable.found,
            "given_up": state.ingest.durable.given_up,
            "repeated": state.ingest.durable.repeated,
        },
        sequence_gaps=state.ingest.sequences.gaps,
        sequence_missing=state.ingest.sequences.missing,
        journal_latency_ms=percentiles(state.latencies_ms),
        ingest_times=state.ingest_times,
        behind_s=state.lag.seconds(state.backlog, now_s=time.time()),
    )


def percentiles(samples: Sequence[float]) -> dict[str, float]:
    """``p50``, ``p95``, ``p99`` and ``max`` of ``samples``, zeros without any."""
    ordered = sorted(samples) or [0.0]
    places = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    found = {name: ordered[int(part * (len(ordered) - 1))] for name, part in places.items()}
    return {**found, "max": ordered[-1]}
