"""No route answers before it knows: each by not read yet, and database away from the start."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gevent
import psycopg
import pytest
from orchestrator.killswitch import receipts
from orchestrator.sql.schema.migrator import migrate
from quiet_clock import quiet_s

from ..conftest import Reply, Serve, Served, frame

NOBODY = "postgresql://postgres@127.0.0.1:9/nothing"
KEPT = ("/health/agents", "/regime/state", "/state", "/state/regime_state", "/state/no_such_key")
STORED = (
    "/bus/events",
    "/bus/events?type=strategy.test",
    "/bus/events/7",
    "/bus/types",
    "/bus/histogram",
)
UNKNOWN_AT_FIRST = (
    "orchestrator_agents{",
    "orchestrator_agent_last_beat_seconds{",
    "orchestrator_state_age_seconds{",
    "orchestrator_killswitch_last_drill_timestamp_seconds",
    "orchestrator_newest_event_id",
    "orchestrator_committed_event_id",
)


def refused(reply: Reply) -> bool:
    return reply.status == 503 and int(reply.headers["Retry-After"]) > 0


def samples(served: Served, *names: str) -> list[str]:
    lines = served.get("/metrics").body.decode().splitlines()
    return [line for line in lines if line.startswith(names)]


@pytest.fixture
def alone(serve: Serve) -> Served:
    """A daemon on an empty folder, whose database is away from the start."""
    served = serve(postgres={"url": NOBODY}, ready=False)
    served.wait_until(lambda: served.get("/health").status == 200)
    return served


@pytest.mark.parametrize("path", [*KEPT, *STORED])
def test_without_a_database_from_the_start_nothing_is_made_up(alone: Served, path: str) -> None:
    began = quiet_s()

    reply = alone.get(path)

    assert refused(reply), reply.body
    assert quiet_s() - began < 5.0


def test_without_a_database_the_stop_is_unknown_and_metrics_are_absent(alone: Served) -> None:
    stop = alone.get("/risk/killswitch").json

    assert (stop["status"], stop["enabled"], stop["complete"]) == ("unknown", True, False)
    assert samples(alone, *UNKNOWN_AT_FIRST) == []
    assert alone.get("/ready").json["checks"]["drill"]["message"].startswith("unknown: the state")


def test_without_a_database_a_feed_claims_no_newest_event(alone: Served) -> None:
    with alone.socket("/ws?since=7", greeted=False) as client:
        assert frame(client)["cursor"] == 0
        with pytest.raises(TimeoutError):  # not `cursor_ahead`: nobody knows where the end is
            client.recv(timeout=1.0)


def test_a_regime_that_has_no_id_yet_is_unknown_and_not_absent(alone: Served) -> None:
    with alone.redis as bus:
        regime = {"agent_id": "regime-1", "regime": "stable"}
        alone.wait_until(lambda: bus.publish("quant.regime.state", json.dumps(regime)))
        # Without ids it is journalled, and not shown yet: unknown, and not "no_data".
        assert refused(alone.get("/regime/state"))


@contextmanager
def locked(served: Served) -> Iterator[psycopg.Connection[Any]]:
    """Nobody reads the small tables, until the transaction ends."""
    with psycopg.connect(served.daemon.pg_url) as host:
        host.execute("LOCK TABLE agents, orchestrator_state IN ACCESS EXCLUSIVE MODE")
        yield host


def restarted(served: Served) -> None:
    """The actors that read them begin anew."""
    for name in ("heartbeat-monitor", "state-keeper"):
        assert served.post(f"/runtime/actors/{name}/restart").status == 202


@pytest.fixture
def lived_in(serve: Serve) -> Served:
    """A daemon with an agent and a regime."""
    served = serve()
    with served.redis as bus:
        bus.publish("heartbeat.q-1", '{"agent_id":"q-1","group":"ingestion"}')
        bus.publish("quant.regime.state", '{"agent_id":"regime-1","regime":"stable"}')
    query = "SELECT (SELECT count(*) FROM agents), value FROM orchestrator_state WHERE key = %s"
    with psycopg.connect(served.daemon.pg_url, autocommit=True) as host:
        served.wait_until(
            lambda: (host.execute(query, ("regime_state",)).fetchone() or (0,))[0] == 1
        )
    return served


def test_after_a_restart_answers_wait_for_what_is_being_read(lived_in: Served) -> None:
    with locked(lived_in) as host:
        restarted(lived_in)

        replies = [gevent.spawn(lived_in.get, path) for path in KEPT]
        gevent.joinall(replies)
        assert [refused(reply.get()) for reply in replies] == [True] * len(KEPT)
        assert samples(lived_in, *UNKNOWN_AT_FIRST[:4]) == []
        host.rollback()

    def answers(path: str) -> Reply:
        lived_in.wait_until(lambda: lived_in.get(path).status != 503)
        return lived_in.get(path)

    assert [row["id"] for row in answers("/health/agents").json["agents"]] == ["q-1"]
    assert answers("/regime/state").json["regime"]["regime"] == "stable"
    assert "regime_state" in [row["key"] for row in answers("/state").json["state"]]
    assert answers("/state/no_such_key").status == 404
    assert samples(lived_in, "orchestrator_agents{")


def test_a_call_that_waits_gets_the_whole_truth(lived_in: Served) -> None:
    with locked(lived_in) as host:
        restarted(lived_in)
        waiting = gevent.spawn(lived_in.get, "/health/agents")
        gevent.sleep(0.2)
        assert not waiting.ready()
        host.rollback()

    reply = waiting.get()
    assert refused(reply) or [row["id"] for row in reply.json["agents"]] == ["q-1"]


def test_the_count_of_agents_is_not_written_before_they_are_known(lived_in: Served) -> None:
    query = "SELECT value->>'count' FROM orchestrator_state WHERE key = 'active_agents_count'"
    with psycopg.connect(lived_in.daemon.pg_url, autocommit=True) as host:
        lived_in.wait_until(lambda: host.execute(query).fetchone() == ("1",))
        host.execute(
            "CREATE TABLE counts AS SELECT ''::text AS n;"
            "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " INSERT INTO counts VALUES (NEW.value->>'count'); RETURN NEW; END $$;"
            "CREATE TRIGGER note BEFORE UPDATE ON orchestrator_state FOR EACH ROW"
            " WHEN (NEW.key = 'active_agents_count') EXECUTE FUNCTION note()"
        )
        with locked(lived_in) as other:
            restarted(lived_in)
            gevent.sleep(1.0)  # twice the interval at which agents are counted
            other.rollback()
        lived_in.wait_until(lambda: lived_in.get("/health/agents").status == 200)
        lived_in.wait_until(lambda: host.execute("SELECT 1 FROM counts WHERE n = '1'").fetchone())
        assert host.execute("SELECT 1 FROM counts WHERE n = '0'").fetchone() is None


def test_a_start_with_an_empty_journal_takes_the_downtime_from_the_database(
    serve: Serve, pg_url: str
) -> None:
    with psycopg.connect(pg_url, autocommit=True) as host:
        migrate(host)
        host.execute("INSERT INTO events (type, ts) VALUES ('a.b', '2026-01-31T09:30:00.123Z')")

    served = serve()

    def gaps() -> list[dict[str, Any]]:
        events = served.get("/bus/events?type=bus.gap").json["events"]
        return [event["payload"] for event in events]

    served.wait_until(gaps)
    [gap] = gaps()
    assert (gap["cause"], gap["from"]) == ("downtime", "2026-01-31T09:30:00.123Z")


def test_under_a_stop_of_before_nobody_is_called_complete_so_soon(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receipts, "KNOWN_AFTER_S", 0.5)
    served = serve()
    assert served.post("/risk/killswitch", {"reason": "before the restart"}).status == 200
    served.wait_until(lambda: served.get("/risk/killswitch").json["complete"])

    monkeypatch.setattr(receipts, "KNOWN_AFTER_S", 600)
    assert served.post("/runtime/actors/killswitch/restart").status == 202
    served.wait_until(lambda: served.get("/risk/killswitch").json["status"] == "active")

    stop = served.get("/risk/killswitch").json
    assert stop["complete"] is False
    assert "Not known yet who must" in stop["message"]
    assert samples(served, "orchestrator_killswitch_unacknowledged") == []
