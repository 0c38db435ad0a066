"""Calls as the original's clients make them, each with the status that the contract gives it."""

import json
from pathlib import Path
from typing import Any

import pytest

from .conftest import Serve, Served

CASES = (Path(__file__).parent / "requests.tsv").read_text(encoding="utf-8").splitlines()[1:]


def spellings(target: str) -> set[str]:
    """The same target with other letters and with a trailing slash."""
    path, mark, query = target.partition("?")
    parts = path.split("/")
    value = 2 if parts[1].lower() == "state" else len(parts)
    made = set()
    for change in (str.upper, str.title, str.swapcase):
        words = [change(part) if at < value else part for at, part in enumerate(parts)]
        made |= {f"{'/'.join(words)}{mark}{query}", f"{'/'.join(words).rstrip('/')}/{mark}{query}"}
    return made


def status_of(served: Served, method: str, target: str, body: str) -> int:
    raw = None if body == "-" else body.encode()
    return served.call(method, target, raw=raw).status


@pytest.mark.parametrize("line", CASES)
def test_a_call_has_its_status_in_any_letters_with_and_without_a_slash(
    served: Served, line: str
) -> None:
    method, target, body, status = line.split("\t")
    found = {one: status_of(served, method, one, body) for one in {target, *spellings(target)}}

    assert set(found.values()) == {int(status)}, found


def test_values_in_a_path_keep_their_letters(served: Served) -> None:
    served.stored("strategy.Letters")
    event = served.get("/BUS/Events?type=strategy.Letters&limit=1").json["events"][0]

    assert served.get(f"/Bus/EVENTS/{event['id']}/").json["event"]["type"] == "strategy.Letters"
    assert served.get("/STATE/killswitch_status").status == 200
    assert served.get("/dashboard/APP.js").status == 404
    assert served.get("/Dashboard/app.js").status == 200


def test_a_row_repeats_its_time_as_existing_pages_read_it(served: Served) -> None:
    event_id = served.stored("strategy.times")
    rows = [
        served.get(f"/bus/events/{event_id}").json["event"],
        *served.get("/bus/events?type=strategy.times").json["events"],
    ]
    served.wait_committed(event_id)
    rows += served.get("/bus/events?type=strategy.times&processed=false").json["events"]

    assert len(rows) == 3
    assert all(row["timestamp"] == row["ts"] is not None for row in rows)


@pytest.mark.parametrize("limit", ["201", "200", "99999", "9" * 20])
def test_a_limit_above_200_is_200(served: Served, limit: str) -> None:
    for _ in range(201 - len(served.get("/bus/events?limit=200").json["events"])):
        served.stored("strategy.many")

    assert len(served.get(f"/bus/events?limit={limit}").json["events"]) == 200


@pytest.mark.parametrize("value", ["1e1", "1.0", "%2B1", "1_0", "0x1", "NULL"])
def test_a_whole_number_is_read_alike_everywhere(served: Served, value: str) -> None:
    upgrade: dict[str, str | None] = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    for name in ("limit", "since", "after", "before"):
        assert served.get(f"/bus/events?{name}={value}").status == 400, name
    assert served.get(f"/events/stream?since={value}").status == 400
    assert served.call("GET", f"/?since={value}", headers=upgrade).status == 400
    assert served.get(f"/bus/events/{value}").status in {400, 404}


@pytest.mark.parametrize("value", ["", "undefined", "null"])
def test_a_variable_without_a_value_is_no_parameter(served: Served, value: str) -> None:
    names = ("since", "after", "before", "limit", "type", "type[]", "source", "from", "to")
    query = "&".join(f"{name}={value}" for name in (*names, "processed", "order"))
    plain = served.get("/bus/events").json["events"]

    assert served.get(f"/bus/events?{query}").json["events"] == plain
    assert served.get(f"/health/agents?alive={value}&group={value}").status == 200
    assert served.get(f"/risk/killswitch/effective?agent={value}").status == 400


@pytest.mark.parametrize("name", ["correlation", "Type", "types", "limt", "token", "since[]", "T"])
def test_a_filter_that_there_is_not_is_named(served: Served, name: str) -> None:
    reply = served.get(f"/bus/events?{name}=x")

    assert reply.status == 400
    assert reply.json["message"].startswith(f"{name}: ")


@pytest.mark.parametrize("name", ["_", "_t", "t", "cb", "nocache"])
def test_what_only_passes_caches_is_ignored(served: Served, name: str) -> None:
    assert served.get(f"/bus/events?{name}=1769850000").status == 200


def test_other_routes_ignore_what_they_do_not_know(served: Served) -> None:
    assert served.get("/health/agents?groups=x&verbose=1").status == 200
    with served.socket("/?tipes=x&token=1&since=undefined&types=null"):
        pass


def test_a_filter_in_brackets_is_the_filter(served: Served) -> None:
    for type_ in ("strategy.one", "strategy.two", "strategy.three"):
        served.stored(type_)
    page = served.get("/bus/events?type[]=strategy.one&type%5B%5D=strategy.two&limit=200").json

    assert {event["type"] for event in page["events"]} == {"strategy.one", "strategy.two"}


@pytest.mark.parametrize("protocols", [["json"], ["graphql", "json"], ["json", "v1"]])
def test_a_client_that_offers_json_is_answered_json(served: Served, protocols: list[Any]) -> None:
    with served.socket("/WS/", subprotocols=protocols) as client:
        assert client.subprotocol == "json"


def test_bearer_goes_before_json(served: Served) -> None:
    offered: list[Any] = ["json", "bearer"]
    with served.socket("/", subprotocols=offered) as client:
        assert client.subprotocol == "bearer"


def test_the_websockets_path_says_what_it_is(served: Served) -> None:
    reply = served.get("/ws")

    assert reply.status == 426
    assert reply.headers["Upgrade"] == "websocket"


# -- what the browser of another page asks ---------------------------------------------------------

FRONT = "https://trading.mvp.com"


@pytest.mark.parametrize(
    ("asked", "more"),
    [
        ("content-type, x-client-info, apikey", {"x-client-info", "apikey"}),
        ("X-Trace, x-requested-with,traceparent", {"X-Trace", "x-requested-with", "traceparent"}),
        ("x y, a:b, \u00e9, ,b\tc, good", {"good"}),
        ("", set()),
    ],
)
def test_a_preflight_allows_what_it_asks_for(serve: Serve, asked: str, more: set[str]) -> None:
    served = serve(http={"front_origin": FRONT})
    headers: dict[str, str | None] = {
        "Origin": FRONT,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": asked.encode().decode("latin-1"),
    }
    reply = served.call("OPTIONS", "/Risk/KillSwitch/", headers=headers)
    ours = ["Content-Type", "Accept", "Authorization", "Cache-Control", "X-Request-ID"]
    allowed = reply.headers["Access-Control-Allow-Headers"].split(", ")

    assert allowed[: len(ours)] == ours
    assert set(allowed[len(ours) :]) == more
    headers["Origin"] = "https://evil.example"
    refused = served.call("OPTIONS", "/risk/killswitch", headers=headers)
    assert refused.headers["Access-Control-Allow-Headers"] is None


# -- the stop degrades, it never refuses for form --------------------------------------------------

STOPS = {
    "longer than 500 characters": (json.dumps({"reason": "a" * 501}).encode(), "a" * 500),
    "NUL": (b'{"reason":"a\\u0000b"}', "a\ufffdb"),
    "nothing but NUL": (b'{"reason":"\\u0000"}', "\ufffd"),
    "Latin-1": ('{"reason":"d\u00e9faut"}'.encode("latin-1"), "d\ufffdfaut"),
    "half a surrogate": (b'{"reason":"a\\ud800"}', "a?"),
    "a byte order mark": (b'\xef\xbb\xbf{"reason":"bom"}', "bom"),
    "digits without end": (b'{"reason":"digits","n":' + b"1" * 5_000 + b"}", "digits"),
    "a number out of range": (b'{"reason":"big","n":1e999,"level":-1e999}', "big"),
    "no number": (b'{"reason":"nan","n":NaN}', "nan"),
    "unknown fields": (b'{"reason":"more","user":{"a":[1]},"level":[],"scope":{}}', "more"),
}


@pytest.mark.parametrize(("raw", "reason"), STOPS.values(), ids=STOPS.keys())
@pytest.mark.parametrize("kind", ["application/json", "text/plain", "application/x-www-form", None])
def test_a_stop_is_not_refused_for_its_form(
    served: Served, raw: bytes, reason: str, kind: str | None
) -> None:
    reply = served.call("POST", "/risk/killswitch", raw=raw, headers={"Content-Type": kind})

    assert reply.status == 200, reply.body
    assert reply.json["reason"] == reason
    shown = served.get("/risk/killswitch").json
    assert reason in {trip["reason"] for trip in shown["trips"]}


@pytest.mark.parametrize("raw", [b'{"reason":" \\n"}', b'{"reason":7}', b"[]", b"", b"null"])
def test_a_stop_without_a_reason_is_refused(served: Served, raw: bytes) -> None:
    assert served.call("POST", "/risk/killswitch", raw=raw).status == 400


@pytest.mark.parametrize("name", ["type", "source"])
@pytest.mark.parametrize("text", ["a\0b", "\0", "\u65e5" * 171, "x" * 201])
def test_names_that_cannot_be_stored_are_refused_at_once(
    served: Served, name: str, text: str
) -> None:
    body = {"type": "strategy.names", "payload": {}, "source": "me"} | {name: text}
    reply = served.post("/bus/events", body)

    assert reply.status == 400
    assert reply.json["message"].startswith(f"{name}: ")


@pytest.mark.parametrize("query", ["type=a%00", "source=%00", "type[]=%00a"])
def test_a_filter_with_nul_is_refused(served: Served, query: str) -> None:
    assert served.get(f"/bus/events?{query}").status == 400


@pytest.mark.parametrize("path", ["/bus/events", "/bus/histogram"])
@pytest.mark.parametrize("year", ["0001-01-01", "9999-12-31", "0001-01-01T00:00:00Z", "0001-01-02"])
def test_no_time_is_a_fault_of_the_daemon(served: Served, path: str, year: str) -> None:
    for zone in ("", "T23:59:59.999999-14:00", "T00:00:00%2B14:00"):
        moment = year[:10] + zone if zone else year
        for query in (f"to={moment}", f"from={moment}", f"from={moment}&to={moment}"):
            assert served.get(f"{path}?{query}").status in {200, 400}, query
