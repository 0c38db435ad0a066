import json
import threading
from pathlib import Path

import pytest
import redis
from orchestrator.cli.offline.halt_ways import Order, by_file, by_redis, by_socket
from orchestrator.killswitch.guard.trip_files import TripFiles
from orchestrator.protocol.document import read_document
from orchestrator.protocol.permit import KEY as PERMIT_KEY

STOP_KEY = "orchestrator:killswitch"
ORDER = Order("fat finger", "reduce", "group:execution")


def test_a_file_is_what_the_guard_reads(tmp_path: Path) -> None:
    outcome = by_file(tmp_path, ORDER, limit_s=0)

    [found] = TripFiles(tmp_path).look()
    assert (outcome.done, outcome.in_force) == (True, False)
    fields = json.loads(found.data)
    assert (fields["reason"], fields["level"], fields["scope"]) == (
        "fat finger",
        "reduce",
        "group:execution",
    )
    assert fields["triggered_by"].startswith("cli:")
    assert [path.name for path in tmp_path.iterdir()] == [f"TRIP.{ORDER.trip_id}"]


def test_a_file_that_is_renamed_is_in_force(tmp_path: Path) -> None:
    def take() -> None:
        for path in tmp_path.glob("TRIP.*"):
            path.rename(f"{path}.taken")

    timer = threading.Timer(0.3, take)
    timer.start()

    assert by_file(tmp_path, ORDER).in_force
    timer.join()


def test_without_a_data_directory_there_is_no_file(tmp_path: Path) -> None:
    outcome = by_file(tmp_path / "none", ORDER)

    assert not outcome.done
    assert "No such file" in outcome.said


@pytest.mark.parametrize("path", ["", "/nonexistent/socket"])
def test_a_socket_that_is_not_there_does_not_work(path: str) -> None:
    assert not by_socket(path, ORDER, timeout_s=1).done


@pytest.mark.redis
def test_redis_gets_trip_and_message_and_loses_the_permit(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client, client.pubsub() as bus:
        client.set(PERMIT_KEY, "permit")
        bus.subscribe("risk.killswitch")
        bus.get_message(timeout=5)

        outcome = by_redis(redis_url, ORDER)

        message = json.loads(bus.get_message(timeout=5)["data"])
        permit, document = client.get(PERMIT_KEY), client.getdel(STOP_KEY)
    [trip] = read_document(document, trusted=False).stop.trips
    assert outcome.done
    assert permit is None
    assert message["enabled"] is True
    assert message["trip_id"] == trip.id == ORDER.trip_id
    assert (trip.reason, trip.target) == ("fat finger", ("reduce", "group:execution"))


@pytest.mark.parametrize("url", [None, "redis://127.0.0.1:1/0", "nonsense://x"])
def test_redis_that_is_not_reached_does_not_work(url: str | None) -> None:
    assert not by_redis(url, ORDER).done
