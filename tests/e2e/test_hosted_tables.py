"""A hosted database that others made before us, and write to while we run and while we do not.

The statements are of the cases that were found: `hosted_tables.sql`, `written_by_others.sql`.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
import redis
from quiet_clock import quiet_s

pytestmark = [pytest.mark.subprocess, pytest.mark.slow, pytest.mark.timeout(300)]

HERE = Path(__file__).parent
HOSTED = (HERE / "hosted_tables.sql").read_text()
SETTINGS = """
[http]
port = 0
rate_limit_max = 1000000
"""
Sql = Callable[..., list[tuple[Any, ...]]]


def statements(name: str) -> list[str]:
    lines = (HERE / name).read_text().splitlines()
    text = "\n".join(line.partition("--")[0] for line in lines)
    return [statement for statement in text.split(";") if statement.strip()]


EVENT, AGENT, STOP, NO_RELEASE = statements("written_by_others.sql")


def within(limit_s: float, condition: Callable[[], object]) -> None:
    began = quiet_s()
    while not condition():
        assert quiet_s() - began < limit_s, f"not within {limit_s:g} s"
        time.sleep(0.05)


@pytest.fixture
def sql(pg_url: str) -> Iterator[Sql]:
    with psycopg.connect(pg_url, autocommit=True) as connection:

        def run(statement: str, *parameters: object) -> list[tuple[Any, ...]]:
            cursor = connection.execute(statement.encode(), parameters or None)
            return cursor.fetchall() if cursor.description else []

        yield run


@pytest.fixture
def at_host(
    new_daemon: Callable[..., Any], pg_url: str, redis_url: str, sql: Sql
) -> Callable[..., Any]:
    """A daemon that has not been started, on tables as a host has them."""
    sql(HOSTED)
    daemon = new_daemon(SETTINGS)

    def start(url: str = pg_url) -> Any:
        daemon.launch(PG_URL=url, REDIS_URL=redis_url)
        within(60, lambda: _answers(daemon))
        return daemon

    return start


def _answers(daemon: Any) -> bool:
    try:
        return bool(daemon.told["pid"] == daemon.process.pid and daemon.get("/health"))
    except (OSError, ValueError):
        return False


def agents_of(daemon: Any) -> dict[str, Any]:
    return {row["id"]: row for row in daemon.get("/health/agents")["agents"]}


def sources(daemon: Any, query: str = "") -> list[str | None]:
    return [event["source"] for event in daemon.get(f"/bus/events{query}")["events"]]


def is_stopped(daemon: Any) -> bool:
    return daemon.get("/risk/killswitch")["status"] == "active"


def test_as_owner_it_starts_stores_and_serves_and_alters_only_its_keys(
    at_host: Callable[..., Any], sql: Sql
) -> None:
    not_ours = "relid::regclass::text !~ '^orchestrator_(?!state$)'"
    made = f"SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tg{not_ours} UNION ALL "
    made += f"SELECT polname FROM pg_policy WHERE pol{not_ours} ORDER BY 1"
    before = sql(made)

    daemon = at_host()

    within(10, lambda: daemon.call("GET", "/ready")[0] == 200)
    assert {"old-agent", "silent"} <= agents_of(daemon).keys()
    regime = daemon.get("/regime/state")["regime"]
    assert (regime["regime"], regime["source"]) == ("volatile", "old-detector")
    assert {"old-quotes", "old-detector", "old-agent"} <= set(sources(daemon))
    status, stored = daemon.call("POST", "/bus/events", {"type": "strategy.x", "payload": {}})
    assert status == 201
    within(10, lambda: sql("SELECT id FROM events WHERE id = %s", stored["id"]))
    assert sql(made) == before
    assert sql("SELECT name FROM agents WHERE id = 'old-agent'") == [("Development Agent",)]
    writable = sql(
        "SELECT relname::text FROM pg_class WHERE relkind = 'r'"
        " AND relname ~ '^orchestrator_(?!state$)'"
        " AND has_table_privilege('anon', oid, 'INSERT, UPDATE, DELETE')"
    )
    assert writable == []


def test_an_agent_whose_name_another_has_is_shown_and_said(
    at_host: Callable[..., Any], sql: Sql
) -> None:
    daemon = at_host()
    with redis.Redis.from_url(daemon.told["redis"]) as bus:
        bus.publish("heartbeat.new", '{"agent_id": "new", "name": "Development Agent"}')
        bus.publish("heartbeat.other", '{"agent_id": "other", "name": "Another"}')

    within(15, lambda: sql("SELECT id FROM agents WHERE id = 'other'"))
    assert "new" in agents_of(daemon)
    within(10, lambda: "agents refuses 1" in daemon.get("/ready")["checks"]["postgres"]["message"])


def test_a_role_that_cannot_see_the_stop_does_not_know(
    at_host: Callable[..., Any], pg_url: str, sql: Sql
) -> None:
    role = f"app_{urlsplit(pg_url).path.strip('/')}"  # roles are of the whole server
    for line in HOSTED.partition("Variant B")[2].splitlines()[1:]:
        made = line.removeprefix("-- ").replace("ROLE app LOGIN", f"ROLE {role} LOGIN PASSWORD 'x'")
        sql(made.replace("TO app;", f"TO {role};"))
    parts = urlsplit(pg_url)

    daemon = at_host(parts._replace(netloc=f"{role}:x@{parts.hostname}:{parts.port}").geturl())

    within(20, lambda: daemon.get("/risk/killswitch")["status"] == "unknown")
    within(20, lambda: "row security" in daemon.get("/ready")["checks"]["killswitch"]["message"])
    assert daemon.get("/risk/killswitch/effective?agent=a")["permission"] == "unknown"


def test_what_others_write_while_it_runs_is_seen(at_host: Callable[..., Any], sql: Sql) -> None:
    daemon = at_host()
    within(10, lambda: daemon.call("GET", "/ready")[0] == 200)
    cursor = daemon.call("POST", "/bus/events", {"type": "strategy.x", "payload": {}})[1]["id"]

    sql(EVENT)
    within(2.5, lambda: "psql" in sources(daemon, "?type=strategy.sql"))
    assert "psql" in sources(daemon)
    [event] = daemon.get("/bus/events?type=strategy.sql")["events"]
    assert event["id"] > cursor + 1_000
    assert daemon.get(f"/bus/events/{event['id']}")["event"]["source"] == "psql"
    assert "strategy.sql" in [row["type"] for row in daemon.get("/bus/types")["types"]]
    page = daemon.get(f"/bus/events?since={cursor}")
    assert page["cursor"] < event["id"]

    sql(AGENT)
    within(5.5, lambda: "sql-agent" in agents_of(daemon))
    assert agents_of(daemon)["sql-agent"]["is_alive"]

    sql(STOP)
    within(2.5, lambda: is_stopped(daemon))
    sql(NO_RELEASE)
    time.sleep(2)
    assert is_stopped(daemon)


def test_what_others_wrote_while_it_was_down_is_seen(at_host: Callable[..., Any], sql: Sql) -> None:
    daemon = at_host()
    within(10, lambda: daemon.call("GET", "/ready")[0] == 200)
    daemon.stop()
    for statement in (EVENT, AGENT, STOP):
        sql(statement)

    at_host()

    within(10, lambda: is_stopped(daemon))
    within(10, lambda: "psql" in sources(daemon, "?type=strategy.sql"))
    assert "psql" in sources(daemon)
    assert "sql-agent" in agents_of(daemon)
