import time
from pathlib import Path

import pytest
import redis
from orchestrator.runtime import Address, ChildSpec, Supervisor, start_actor, stop_actor
from orchestrator.runtime.embedded import EmbeddedValkey
from orchestrator.runtime.embedded.actor import ServerKeeper
from quiet_clock import quiet_s

pytestmark = [pytest.mark.subprocess, pytest.mark.redis]


def answers(url: str) -> bool:
    with redis.Redis.from_url(url) as client:
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False


def test_a_server_that_dies_is_started_again(tmp_path: Path) -> None:
    server = EmbeddedValkey(tmp_path / "valkey")
    spec = ChildSpec(Address("valkey"), lambda: ServerKeeper(server))
    supervisor = Supervisor([spec])
    start_actor(supervisor, Address("root"))
    url, pid = server.url, server.pid()
    assert answers(url)

    server.stop()

    limit = quiet_s() + 20
    while not (answers(url) and server.pid() not in (None, pid)):
        assert quiet_s() < limit
        time.sleep(0.02)
    stop_actor(supervisor)
    server.stop()
