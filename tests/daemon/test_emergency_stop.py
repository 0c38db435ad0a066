from collections.abc import Iterator
from pathlib import Path

import pytest
from orchestrator.actors.broadcaster.clients import Clients
from orchestrator.daemon.addresses import addresses
from orchestrator.daemon.emergency_stop import EmergencyStop, guard_settings
from orchestrator.runtime import DeadLetters
from orchestrator.runtime.datadir import DataDir
from orchestrator.settings import GuardSettings, Settings, SupervisorSettings
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
    assert orders.folder == str(data.path)
    assert orders.redis_url == "redis://127.0.0.1:1/0"
    assert orders.on_silence == "hold"
    stop.close()


@pytest.mark.parametrize(
    ("hang_timeout_s", "silence_s", "expected_s"), [(3.0, 6.0, 6.0), (3.0, 9.0, 9.0), (30, 6, 33)]
)
def test_silence_lasts_until_the_supervisor_had_its_turn_with_a_hang(
    hang_timeout_s: float, silence_s: float, expected_s: float
) -> None:
    settings = Settings(
        supervisor=SupervisorSettings(hang_timeout_s=hang_timeout_s),
        guard=GuardSettings(silence_s=silence_s),
    )

    assert guard_settings(settings).silence_s == expected_s
