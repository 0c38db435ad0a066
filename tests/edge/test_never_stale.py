"""Answers that callers keep: 304 while nothing has changed, and never longer than that."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from .conftest import Serve, Served

PAGES = (
    "/bus/events",
    "/bus/events?limit=1",
    "/bus/events?type=strategy.*&limit=5",
    "/bus/events?type=strategy.fresh&order=asc",
    "/bus/events?source=stale-test",
    "/bus/events?from=2020-01-01",
    "/bus/events?processed=false",
    "/bus/events?since={newest}",
    "/bus/events?after={newest}&type=strategy.fresh",
    "/bus/events?before=9000000000",
)


def again(served: Served, path: str, etag: str) -> Any:
    return served.get(path, If_None_Match=etag)


def tag(served: Served, path: str) -> str:
    reply = served.get(path)
    assert reply.status == 200, reply.body
    return str(reply.headers["ETag"])


@pytest.mark.parametrize("page", PAGES)
def test_an_event_stored_between_two_requests_is_seen(served: Served, page: str) -> None:
    newest = served.stored("strategy.fresh", source="stale-test")
    path = page.format(newest=newest)
    for number in range(5):
        etag = tag(served, path)
        event_id = served.stored("strategy.fresh", {"n": number}, source="stale-test")

        reply = again(served, path, etag)

        assert reply.status == 200
        assert event_id in [event["id"] for event in reply.json["events"]]


def test_what_has_not_changed_is_not_sent_again(serve: Serve) -> None:
    served = serve()
    ids = [served.stored("strategy.kept", {"n": number}) for number in range(30)]
    served.wait_committed(ids[-1])
    for path in (
        f"/bus/events?before={ids[20]}&limit=10",
        f"/bus/events?since={ids[0]}&limit=10",
        "/bus/events?type=strategy.kept",
        f"/bus/events/{ids[3]}",
        "/bus/types",
        "/state",
        "/regime/state",
        "/openapi.json",
        "/asyncapi.json",
        "/",
        "/docs",
    ):
        reply = again(served, path, tag(served, path))

        assert (path, reply.status, reply.body) == (path, 304, b"")
        assert reply.headers["ETag"]
        assert "no-cache" in reply.headers["Cache-Control"]
        assert reply.headers["Content-Type"] is None


def test_a_new_event_changes_no_page_of_the_past(served: Served) -> None:
    ids = [served.stored("strategy.past") for _ in range(12)]
    path = f"/bus/events?before={ids[10]}&limit=5"
    etag = tag(served, path)

    served.stored("strategy.past")

    assert again(served, path, etag).status == 304


def test_a_mark_is_seen_on_pages_of_the_past(served: Served) -> None:
    ids = [served.stored("strategy.marked") for _ in range(3)]
    paths = (f"/bus/events?before={ids[2]}&limit=2", f"/bus/events/{ids[1]}")
    tags = [tag(served, path) for path in paths]
    served.wait_committed(ids[2])

    assert served.post("/bus/events/processed", {"ids": [ids[1]]}).status == 200

    for path, etag in zip(paths, tags, strict=True):
        assert again(served, path, etag).status == 200


def test_an_event_that_is_replaced_is_seen_on_pages_of_the_past(serve: Serve) -> None:
    served = serve()
    ids = [served.stored("strategy.poison", {"n": number}) for number in range(3)]
    served.wait_committed(ids[2])
    with psycopg.connect(served.daemon.pg_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE events ADD CHECK (payload->>'n' <> '13') NOT VALID")
        connection.execute("BEGIN; LOCK TABLE events IN SHARE MODE")
        bad, last = served.stored("strategy.poison", {"n": 13}), served.stored("strategy.poison")
        path = f"/bus/events?before={last}&limit=1"
        etag = tag(served, path)
        assert again(served, path, etag).status == 304
        connection.execute("COMMIT")
        served.wait_committed(last)

    served.wait_until(lambda: again(served, path, etag).status == 200)
    (event,) = again(served, path, etag).json["events"]
    assert (event["id"], event["type"]) == (bad, "bus.rejected")


@pytest.mark.parametrize("path", ["/state", "/state/regime_state", "/regime/state"])
def test_a_new_state_is_seen(served: Served, path: str) -> None:
    _told(served, "stable")
    etag = tag(served, path)
    assert again(served, path, etag).status == 304

    _told(served, "volatile")

    assert again(served, path, etag).status == 200


def _told(served: Served, regime: str) -> None:
    with served.redis as bus:
        bus.publish("quant.regime.state", f'{{"regime":"{regime}","agent_id":"detector"}}')
    served.wait_until(
        lambda: served.get("/regime/state").json.get("regime", {}).get("regime") == regime
    )


def test_an_agent_that_beats_is_seen(served: Served) -> None:
    def alive() -> list[str]:
        return [row["id"] for row in served.get("/health/agents").json["agents"]]

    etag = tag(served, "/health/agents")
    with served.redis as bus:
        bus.publish("heartbeat.fresh-1", '{"agent_id":"fresh-1","status":"active"}')
    served.wait_until(lambda: "fresh-1" in alive())

    assert again(served, "/health/agents", etag).status == 200


def test_what_stops_trading_is_never_kept(served: Served) -> None:
    reply = served.get("/risk/killswitch")

    assert reply.headers["Cache-Control"] == "no-store"
    assert "ETag" not in reply.headers


def test_many_at_once_each_see_their_own_event_at_once(served: Served) -> None:
    paths = ("/bus/events?limit=200", "/bus/events?type=strategy.race&limit=200")

    def race(worker: int) -> list[bool]:
        seen, etags = [], dict.fromkeys(paths, '""')
        for number in range(12):
            event_id = served.stored("strategy.race", {"worker": worker, "n": number})
            for path in paths:
                reply = again(served, path, etags[path])
                etags[path] = reply.headers["ETag"]
                known = reply.status == 200 and event_id in _ids(reply)
                seen.append(known)
        return seen

    assert all(all(seen) for seen in _all_at_once(race, 6))


def _ids(reply: Any) -> set[int]:
    return {event["id"] for event in reply.json["events"]}


def _all_at_once(work: Callable[[int], list[bool]], workers: int) -> list[list[bool]]:
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(work, range(workers)))
