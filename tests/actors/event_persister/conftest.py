"""A persister's state without an actor: opened, surveyed, with a hundred ids and no database."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from orchestrator.actors.event_persister.recovery import survey
from orchestrator.actors.event_persister.state import PersisterState
from orchestrator.actors.journal.id_ranges import write_ids


@pytest.fixture
def state(tmp_path: Path) -> Iterator[PersisterState]:
    write_ids(tmp_path / "ids", [(101, 200)])
    made = PersisterState(tmp_path, ["t.*"])
    made.open()
    survey(made)
    yield made
    made.close()
