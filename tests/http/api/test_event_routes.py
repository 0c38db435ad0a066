import json
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
import structlog
from orchestrator.actors.event_query import EventQuery
from orchestrator.http.api.event_routes import event_query, with_causes
from orchestrator.http.api.event_schemas import EventsQuery
from orchestrator.http.errors import BadRequest
from orchestrator.sql.connection import connect
from orchestrator.sql.schema.migrator import migrate
from quiet_clock import quiet_s

from ..conftest import Serve, Served


@pytest.fixture(scope="module")
def ids(served: Served) -> list[int]:
    """Twenty numbered events, all of them committed."""
    found = [served.stored("strategy.page", {"n": n}, source=f"s-{n % 2}") for n in range(20)]
    served.wait_committed(found[-1])
    return found


def numbers(reply: Any) -> list[int]:
    assert reply.status == 200, reply.body
    return [event["payload"]["n"] for event in reply.json["events"]]


PAGE = "/bus/events?type=strategy.page"


# -- pages ---------------------------------------------------------------------------------------


def test_an_event_has_the_fields_of_the_contract(served: Served, ids: list[int]) -> None:
    (event,) = served.get(f"{PAGE}&limit=1").json["events"]

    assert event == {
        "id": ids[-1],
        "type": "strategy.page",
        "payload": {"n": 19},
        "ts": event["ts"],
        "timestamp": event["ts"],
        "source": "s-1",
        "processed": False,
    }
    assert event["ts"].endswith("Z")


@pytest.mark.usefixtures("ids")
@pytest.mark.parametrize("query", ["", "&since=0"])
def test_without_since_the_latest_come_newest_first(served: Served, query: str) -> None:
    reply = served.get(f"{PAGE}&limit=5{query}")

    assert numbers(reply) == [19, 18, 17, 16, 15]
    assert reply.json["has_more"] is True


def test_following_the_cursor_from_the_first_event_misses_nothing(
    served: Served, ids: list[int]
) -> None:
    found: list[int] = []
    cursor, has_more = ids[0] - 1, True
    while has_more:
        page = served.get(f"{PAGE}&limit=3&order=asc&since={cursor}").json
        found += [event["payload"]["n"] for event in page["events"]]
        cursor, has_more = page["cursor"], page["has_more"]

    assert found == list(range(20))
    assert cursor >= ids[-1]


def test_after_0_is_from_the_very_first_event(served: Served, ids: list[int]) -> None:
    page = served.get("/bus/events?after=0&limit=1").json

    assert page["has_more"] is True
    assert page["events"][0]["id"] <= ids[0]
    assert page["cursor"] == page["events"][0]["id"]


def test_before_pages_backwards(served: Served, ids: list[int]) -> None:
    reply = served.get(f"{PAGE}&limit=3&before={ids[10]}")

    assert numbers(reply) == [9, 8, 7]
    assert reply.json["has_more"] is True


def test_order_asc_turns_a_page_round(served: Served, ids: list[int]) -> None:
    assert numbers(served.get(f"{PAGE}&limit=3&order=asc")) == [17, 18, 19]
    assert numbers(served.get(f"{PAGE}&limit=2&since={ids[0]}")) == [2, 1]


@pytest.mark.usefixtures("ids")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("type=strategy.p*", 20),
        ("type=strategy.page&type=news.*", 20),
        ("type=strategy.page&source=s-1", 10),
        ("type=strategy.page&processed=false", 20),
        ("type=strategy.page&processed=true", 0),
        ("type=strategy.page&from=2020-01-01T00:00:00Z", 20),
        ("type=strategy.page&to=2020-01-01T00:00:00Z", 0),
        ("type=strategy.page&from=2020-01-01T00:00:00%2B02:00", 20),
        ("type=strategy", 0),
        ("type=nothing", 0),
    ],
)
def test_filters_narrow_a_page(served: Served, query: str, expected: int) -> None:
    assert len(served.get(f"/bus/events?limit=200&{query}").json["events"]) == expected


def test_one_agents_heartbeats_are_found_by_their_channel(served: Served) -> None:
    with served.redis as bus:
        bus.publish("heartbeat.beat-1", '{"agent_id":"beat-1"}')
        bus.publish("heartbeat.beat-2", '{"agent_id":"beat-2"}')
    served.wait_until(lambda: served.get("/bus/events?type=heartbeat.beat-2").json["events"])

    (event,) = served.get("/bus/events?type=heartbeat.beat-1").json["events"]

    assert (event["type"], event["source"]) == ("heartbeat", "beat-1")


def test_the_cursor_is_the_newest_id_if_the_page_has_no_newer_events(served: Served) -> None:
    newest = served.stored("strategy.other")

    assert served.get(f"{PAGE}&limit=1").json["cursor"] >= newest
    assert served.get(f"/bus/events?since={newest + 1000}").json["events"] == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=x", "limit"),
        ("limit=1.5", "limit"),
        ("limit=1e1", "limit"),
        ("limit=5&limit=6", "limit"),
        ("since=-1", "since"),
        ("since=9223372036854775808", "since"),
        ("before=0", "before"),
        ("order=up", "order"),
        ("from=yesterday", "from"),
        ("processed=2", "processed"),
        ("to=9999-12-31T23:59:59-14:00", "to: must be within the years 1 to 9999"),
        ("type=" + "*" * 17, "type[0]: must have at most 16 stars (*)"),
        ("type=risk.*&type=" + "*a" * 17, "type[1]: must have at most 16 stars (*)"),
        ("since=5&before=9", "before"),
        ("since=5&after=5", "after"),
    ],
)
def test_a_bad_query_is_400_and_names_the_field(served: Served, query: str, field: str) -> None:
    reply = served.get(f"/bus/events?{query}")

    assert reply.status == 400
    assert field in reply.json["message"]
    assert reply.json["error"]


def test_a_page_of_many_stars_does_not_hold_the_loop(served: Served) -> None:
    for letter in "abcdefghij":
        served.stored(f"strategy.{letter * 150}")

    began = quiet_s()
    for pattern in ("*" * 10 + "Z", "*a" * 15 + "*b"):
        assert served.get(f"/bus/events?type={pattern}").json["events"] == []

    assert quiet_s() - began < 1.0


def test_unknown_parameters_are_ignored(served: Served) -> None:
    assert served.get("/bus/events?_=123&limit=1").status == 200


def test_since_0_goes_with_before() -> None:
    assert event_query(EventsQuery(since=0, before=9)) == EventQuery(before=9, others=True)


def test_times_without_a_zone_are_utc() -> None:
    moment = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)

    for given in (moment, moment.replace(tzinfo=None)):
        assert event_query(EventsQuery(from_=given)).from_ts == "2026-01-31T09:30:00.000Z"


def test_after_and_before_exclude_each_other() -> None:
    with pytest.raises(BadRequest):
        event_query(EventsQuery(after=0, before=9))


def test_a_page_is_never_stale(served: Served) -> None:
    for number in range(5):
        event_id = served.stored("strategy.fresh", {"n": number})

        page = served.get("/bus/events?type=strategy.fresh&limit=1").json

        assert page["events"][0]["id"] == event_id


# -- one event -----------------------------------------------------------------------------------


def test_one_event_by_its_id(served: Served, ids: list[int]) -> None:
    reply = served.get(f"/bus/events/{ids[3]}")

    assert reply.status == 200
    assert reply.json["event"]["payload"] == {"n": 3}


def test_an_unknown_event_is_404(served: Served) -> None:
    reply = served.get("/bus/events/9223372036854775807")

    assert reply.status == 404
    assert reply.json["error"]


@pytest.mark.parametrize("bad", ["1x", "-1", "9223372036854775808", "1.5"])
def test_an_id_that_is_none_is_400(served: Served, bad: str) -> None:
    reply = served.get(f"/bus/events/{bad}")

    assert reply.status == 400
    assert "id" in reply.json["message"]


# -- posting -------------------------------------------------------------------------------------


def test_a_posted_event_is_stored_and_published_once(served: Served) -> None:
    with served.redis as bus, bus.pubsub() as subscription:
        subscription.subscribe("strategy.posted")
        assert subscription.get_message(timeout=5)

        reply = served.post(
            "/bus/events", {"type": "strategy.posted", "payload": {"a": 1}, "source": "me"}
        )

        message = None
        while message is None:
            message = subscription.get_message(timeout=5)
    assert reply.status == 201
    assert reply.json["status"] == "stored"
    assert reply.json["ts"].endswith("Z")
    assert json.loads(message["data"]) == {"a": 1}
    served.wait_committed(reply.json["id"])
    events = served.get("/bus/events?type=strategy.posted").json["events"]
    assert [(event["id"], event["source"]) for event in events] == [(reply.json["id"], "me")]


def test_the_log_leads_from_the_request_to_the_stored_event(served: Served) -> None:
    body = {"type": "strategy.traced", "payload": {}}
    with structlog.testing.capture_logs() as lines:
        reply = served.call("POST", "/bus/events", body, headers={"X-Request-ID": "traced-1"})

    (line,) = [one for one in lines if one["event"] == "event journalled"]
    assert line["request_id"] == "traced-1"
    assert line["event_id"] == reply.json["id"]
    assert line["type"] == "strategy.traced"


@pytest.mark.parametrize(
    "type_",
    ["bus.gap", "runtime.started", "agent.online", "agent.x", "risk.killswitch", "reply.a.1"],
)
def test_types_of_the_daemons_own_cannot_be_posted(served: Served, type_: str) -> None:
    reply = served.post("/bus/events", {"type": type_, "payload": {}})

    assert reply.status == 400
    assert "type" in reply.json["message"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"payload": {}}, "type"),
        ({"type": "a"}, "payload"),
        ({"type": 5, "payload": {}}, "type"),
        ({"type": "", "payload": {}}, "type"),
        ({"type": "a b", "payload": {}}, "type"),
        ({"type": "a\u0000", "payload": {}}, "type"),
        ({"type": "a", "payload": {}, "source": 5}, "source"),
        ({"type": "a", "payload": {"x": "\u0000"}}, "payload"),
        ([], "body"),
        ("text", "body"),
    ],
)
def test_a_bad_event_is_400_and_names_the_field(served: Served, body: Any, field: str) -> None:
    reply = served.post("/bus/events", body)

    assert reply.status == 400
    assert field in reply.json["message"]


def test_a_number_out_of_range_is_400(served: Served) -> None:
    reply = served.call("POST", "/bus/events", raw=b'{"type":"a","payload":1e999999}')

    assert reply.status == 400
    assert "payload" in reply.json["message"]


# -- marking -------------------------------------------------------------------------------------


def test_events_are_marked_and_missing_ones_named(served: Served) -> None:
    first, second = served.stored("strategy.mark"), served.stored("strategy.mark")
    assert len(served.get("/bus/events?type=strategy.mark&processed=false").json["events"]) == 2

    reply = served.post("/bus/events/processed", {"ids": [second, first, first, 2**62]})

    assert reply.status == 200
    assert reply.json["updated"] == [second, first]
    assert reply.json["missing"] == [2**62]
    events = served.get("/bus/events?type=strategy.mark").json["events"]
    assert all(event["processed"] for event in events)
    assert served.get(f"/bus/events/{first}").json["event"]["processed"] is True


@pytest.mark.parametrize("body", [{}, {"ids": []}, {"ids": ["x"]}, {"ids": [-1]}, {"ids": 5}])
def test_a_bad_list_of_ids_is_400(served: Served, body: Any) -> None:
    reply = served.post("/bus/events/processed", body)

    assert reply.status == 400
    assert "ids" in reply.json["message"]


def test_types_are_listed_with_counts(served: Served, ids: list[int]) -> None:
    rows = {row["type"]: row for row in served.get("/bus/types").json["types"]}

    row = rows["strategy.page"]
    assert row["count"] == 20
    assert row["last_id"] == ids[-1]
    assert row["last_ts"].endswith("Z")
    assert row["per_minute"] > 0


# -- histogram -----------------------------------------------------------------------------------


def test_the_histogram_counts_each_event_once_in_its_minute(served: Served) -> None:
    ids = [served.stored(f"news.signal.{n % 2}", {"n": n}) for n in range(7)]
    served.wait_committed(ids[-1])
    times = Counter(served.get(f"/bus/events/{i}").json["event"]["ts"][:16] for i in ids)

    found = served.get("/bus/histogram?type=news.*&buckets=500").json

    assert found["bucket_s"] == 60
    assert found["counted_from"] is None
    assert {b["ts"]: b["counts"] for b in found["buckets"]} == {
        f"{minute}:00.000Z": {"news": count} for minute, count in times.items()
    }


def test_the_histogram_of_a_span_says_which_span_it_is(served: Served) -> None:
    found = served.get(
        "/bus/histogram?from=2026-01-30T00:00:30Z&to=2026-01-31&buckets=24&type=heartbeat.x"
    ).json

    assert (found["from"], found["to"]) == ("2026-01-30T00:00:00.000Z", "2026-01-31T00:00:00.000Z")
    assert found["bucket_s"] == 3600
    assert found["buckets"] == []


@pytest.mark.parametrize(
    "query",
    ["buckets=501", "buckets=0", "from=2026-01-02&to=2026-01-01", "from=2025-01-01&to=2026-01-01"],
)
def test_a_histogram_without_bounds_is_refused(served: Served, query: str) -> None:
    assert served.get(f"/bus/histogram?{query}").status == 400


# -- while PostgreSQL is away --------------------------------------------------------------------


def test_without_postgres_memory_is_served_and_older_history_is_503(
    serve: Serve, postgres_server: Any, pg_url: str
) -> None:
    with psycopg.connect(pg_url, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE events (id BIGSERIAL PRIMARY KEY, type TEXT NOT NULL,"
            " payload JSONB NOT NULL DEFAULT '{}', ts TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP,"
            " source TEXT, processed BOOLEAN DEFAULT FALSE,"
            " created_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP)"
        )
        connection.execute(
            "INSERT INTO events (type) SELECT 'strategy.old' FROM generate_series(1, 300)"
        )
    served = serve()
    known = served.stored("strategy.now", {"n": 1})
    served.wait_committed(known)
    assert len(served.get("/bus/events?limit=200&before=250").json["events"]) == 200

    postgres_server.kill()
    fresh = served.stored("strategy.now", {"n": 2})

    page = served.get("/bus/events?type=strategy.now&limit=1").json
    assert [event["id"] for event in page["events"]] == [fresh]
    assert served.get(f"/bus/events/{fresh}").status == 200
    away = served.get("/bus/events?since=1&limit=5")
    assert away.status == 503
    assert int(away.headers["Retry-After"]) >= 1
    assert "psycopg" not in away.body.decode()
    assert served.get("/bus/types").status == 503
    assert served.get("/bus/histogram").status == 503
    assert served.post("/bus/events/processed", {"ids": [fresh]}).status == 503
    # A page that no newer event can change is still in the cache.
    assert len(served.get("/bus/events?limit=200&before=250").json["events"]) == 200

    postgres_server.start()
    served.wait_committed(fresh)
    served.wait_until(lambda: served.get("/bus/events?since=1&limit=5").status == 200)


UNKNOWN = (
    "types: there is no such parameter; there are since, after, before, limit, type, source, "
    "from, to, processed, correlation_id, where, order."
)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("types=a", UNKNOWN),
        ("order=foo", "order: must be asc or desc."),
        ("processed=perhaps", "processed: must be true or false."),
    ],
)
def test_a_query_that_does_not_fit_is_told_what_would(
    served: Served, query: str, message: str
) -> None:
    reply = served.get(f"/bus/events?{query}")

    assert (reply.status, reply.json["message"]) == (400, message)


def test_a_day_begins_at_midnight_utc(served: Served) -> None:
    event_id = served.stored()

    since, until = (served.get(f"/bus/events?{end}=2020-01-01").json for end in ("from", "to"))

    assert event_id in [event["id"] for event in since["events"]]
    assert until["events"] == []


def test_a_page_that_takes_too_long_is_503_and_says_what_to_do(serve: Serve, pg_url: str) -> None:
    with connect(pg_url) as connection:
        migrate(connection)
        connection.execute("INSERT INTO events (type) VALUES ('strategy.old')")
    served = serve(postgres={"url": pg_url, "statement_timeout_ms": 200})
    with psycopg.connect(pg_url) as connection:
        connection.execute("LOCK TABLE events IN ACCESS EXCLUSIVE MODE")

        reply = served.get("/bus/events?type=nothing.like.it")

        assert reply.status == 503
        assert "took too long: narrow it by from and to" in reply.json["message"]
        assert int(reply.headers["Retry-After"]) >= 1
        # What memory has is there all the same.
        event_id = served.stored("strategy.now")
        assert served.get("/bus/events?limit=1").json["events"][0]["id"] == event_id


# -- causes --------------------------------------------------------------------------------------

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    ("payload", "stored"),
    [
        (b'{"n":1}', {"n": 1, "correlation_id": "req-1", "traceparent": TRACE}),
        (b" { } ", {"correlation_id": "req-1", "traceparent": TRACE}),
        (b'{"correlation_id":null}', {"correlation_id": None, "traceparent": TRACE}),
        (b'{"correlation_id":"c","traceparent":"t"}', {"correlation_id": "c", "traceparent": "t"}),
        (b"[1]", [1]),
    ],
)
def test_a_posted_event_names_the_request_it_came_of(payload: bytes, stored: Any) -> None:
    headers = {"HTTP_X_REQUEST_ID": "req-1", "HTTP_TRACEPARENT": TRACE}

    assert json.loads(with_causes(payload, headers)) == stored


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"HTTP_X_REQUEST_ID": 'a"b', "HTTP_TRACEPARENT": "00-x"},
        {"HTTP_TRACEPARENT": "ff" + TRACE[2:]},
        {"HTTP_TRACEPARENT": TRACE + "-more"},
    ],
)
def test_a_payload_stays_as_it_is_without_sane_headers(headers: dict[str, str]) -> None:
    assert with_causes(b' {"n": 1}', headers) == b' {"n": 1}'


def test_what_was_posted_is_found_by_its_request(served: Served) -> None:
    body = {"type": "strategy.posted", "payload": {"n": 1}}
    headers: dict[str, str | None] = {"X-Request-ID": "request-of-a-person", "traceparent": TRACE}
    reply = served.call("POST", "/bus/events", body, headers=headers)

    (event,) = served.get("/bus/events?correlation_id=request-of-a-person").json["events"]

    assert event["id"] == reply.json["id"]
    assert event["payload"]["traceparent"] == TRACE


# -- rows of other programs ----------------------------------------------------------------------

LOG_EVENT = """
    CREATE FUNCTION log_orchestrator_event(p_type text, p_payload jsonb, p_source text)
    RETURNS bigint LANGUAGE sql AS
      $$ INSERT INTO events (type, payload, source) VALUES (p_type, p_payload, p_source)
         RETURNING id $$
"""


def test_rows_of_other_programs_appear_by_their_time_and_move_no_cursor(serve: Serve) -> None:
    served = serve()
    served.wait_ready()
    first = served.stored("strategy.ours", {"n": 1})
    served.wait_until(lambda: served.get("/bus/events").json["cursor"] >= first)
    with psycopg.connect(served.daemon.pg_url, autocommit=True) as host:
        host.execute(LOG_EVENT)
        host.execute("SELECT log_orchestrator_event('agent.status', '{\"a\": 1}', 'original')")
        host.execute(
            "INSERT INTO events (id, type, source, ts) VALUES (-3, 'strategy.old', 'sql', 'epoch')"
        )

    def sources(query: str) -> list[Any]:
        return [event["source"] for event in served.get(f"/bus/events{query}").json["events"]]

    served.wait_until(lambda: "original" in sources("?limit=200"), limit_s=4)
    assert sources("?limit=200")[-1] == "sql"
    assert sources("?type=strategy.old") == ["sql"]
    assert sources("?source=original&order=asc") == ["original"]
    assert sources("?to=1971-01-01T00:00:00Z") == ["sql"]
    assert sources(f"?since={first}&source=original") == []
    last = served.stored("strategy.ours", {"n": 2})
    page = served.get(f"/bus/events?since={first}").json
    assert page["cursor"] >= last
    assert "original" not in [event["source"] for event in page["events"]]
    newest = served.get("/bus/events?type=agent.status&type=strategy.ours").json
    assert [event["source"] for event in newest["events"]] == [None, "original", None]
    assert newest["cursor"] < newest["events"][1]["id"]
    assert {"agent.status", "strategy.old"} <= {
        row["type"] for row in served.get("/bus/types").json["types"]
    }


def test_marking_a_row_of_another_program_shows(serve: Serve) -> None:
    served = serve()
    with psycopg.connect(served.daemon.pg_url, autocommit=True) as host:
        row = host.execute("INSERT INTO events (type) VALUES ('strategy.sql') RETURNING id")
        [event_id] = row.fetchone() or (0,)
    found = "/bus/events?type=strategy.sql"
    served.wait_until(lambda: served.get(found).json["events"], limit_s=4)

    assert served.post("/bus/events/processed", {"ids": [event_id]}).json["updated"] == [event_id]

    assert served.get(f"{found}&processed=true").json["events"][0]["processed"] is True
    assert served.get(f"{found}&processed=false").json["events"] == []


# -- the filter ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("ids")
def test_a_filter_narrows_a_page_and_says_where_to_go_on(served: Served) -> None:
    where = "where=data.n%20%3E=%205%20and%20data.n%20%3C%2010"

    first = served.get(f"{PAGE}&{where}&limit=3")
    rest = served.get(f"{PAGE}&{where}&limit=3&before={first.json['looked_to']}")
    forward = served.get(f"{PAGE}&{where}&after=0&order=asc")

    assert (numbers(first), first.json["has_more"]) == ([9, 8, 7], True)
    assert (numbers(rest), rest.json["has_more"], rest.json["looked_to"]) == ([6, 5], False, None)
    assert numbers(forward) == [5, 6, 7, 8, 9]
    assert "looked_to" not in served.get(PAGE).json


def test_what_is_no_filter_is_refused_with_the_place(served: Served) -> None:
    reply = served.get("/bus/events?where=data.n%20=%205")

    assert reply.status == 400
    assert reply.json["message"] == "where: cannot read '= 5' (character 8)."
    assert served.get(f"/bus/events?where={'x' * 1001}").status == 400


def test_old_events_are_filtered_out_of_postgresql_page_by_page(serve: Serve, pg_url: str) -> None:
    with connect(pg_url) as connection:
        migrate(connection)
        connection.execute(
            "INSERT INTO events (id, type, payload, ts) SELECT n, 'strategy.old',"
            " jsonb_build_object('n', n), now() - interval '1 day'"
            " FROM generate_series(1, 45000) AS n"
        )
    served = serve()
    served.wait_ready()

    query, before = "/bus/events?type=strategy.old&where=data.n%20%3C=%202", ""
    found: list[Any] = []
    looked_to: list[int] = []
    while True:
        page = served.get(f"{query}{before}").json
        found += page["events"]
        if not page["has_more"]:
            break
        looked_to.append(page["looked_to"])
        before = f"&before={page['looked_to']}"

    assert len(looked_to) >= 2
    assert looked_to == sorted({*looked_to}, reverse=True)
    assert [event["payload"]["n"] for event in found] == [2, 1]
