from collections.abc import Iterator
from pathlib import Path

import pytest
from orchestrator.actors.broadcaster.clients import Clients
from orchestrator.daemon.addresses import addresses
from orchestrator.daemon.emergency_stop import EmergencyStop
from orchestrator.runtime import DeadLetters
from orchestrator.runtime.datadir import DataDir
from orchestrator.settings import Settings
from orchestrator.sql.database import Database, PostgresSettings


@pytest.fixture
def data(tmp_path: Path) -> Iterator[DataDir]:
    with DataDir.open(tmp_path / "data") as data:
        yield data


def test_the_guard_gets_the_places_of_this_daemon(data: DataDir) -> None:
    stop = EmergencyStop(
        Settings(),
        data,
        to=addresses(DeadLetters(), Clients()),
        redis_url="redis://127.0.0.1:1/0",
        database=Database(PostgresSettings()),
    )

    orders = stop.guard.orders
    assert orders.trip_file == str(data.path / "TRIP")
    assert orders.permit_key == "orchestrator:permit"
    assert Path(orders.latch) == data.path / "killswitch.guard"
    stop.close()
