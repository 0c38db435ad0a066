"""Text of others through REST, WebSocket and metrics: it comes back as it was, or is refused."""

import json
from urllib.parse import quote

import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from ..hostile import HOSTILE
from .conftest import Served, frame_where

PARAMETERS = ("type", "source", "from", "to", "since", "limit", "correlation_id", "processed")
READS = (
    "/bus/events?{name}={text}",
    "/bus/histogram?{name}={text}",
    "/health/agents?group={text}",
    "/health/agents?status={text}",
    "/bus/events/{text}",
    "/state/{text}",
    "/runtime/agents/{text}/logs",
    "/risk/killswitch/effective?agent={text}",
    "/audit?{name}={text}",
    "/{text}",
    "/dashboard/{text}",
)
OPEN_METRICS = "application/openmetrics-text;version=1.0.0"


def escaped(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"), safe="")


@pytest.mark.parametrize("text", HOSTILE)
def test_a_payload_comes_back_as_it_was_or_is_refused(served: Served, text: str) -> None:
    payload = {"text": text, text: [text]}
    with served.socket("/?types=strategy.hostile") as client:
        reply = served.post("/bus/events", {"type": "strategy.hostile", "payload": payload})
        if "\0" in text or "\ud800" in text:
            assert reply.status == 400
            return
        sent = frame_where(client, type="redis_event")
    event = served.get(f"/bus/events/{reply.json['id']}").json["event"]
    served.wait_committed(reply.json["id"])
    page = served.get(f"/bus/events?limit=1&before={reply.json['id'] + 1}").json["events"]

    assert sent["data"] == event["payload"] == page[0]["payload"] == payload


@pytest.mark.parametrize("path", READS)
def test_no_question_is_answered_otherwise_than_in_json_and_in_form(
    served: Served, path: str
) -> None:
    for text in HOSTILE:
        for name in PARAMETERS if "{name}" in path else ("",):
            asked = path.format(name=name, text=escaped(text))
            reply = served.get(asked)

            assert reply.status < 500, asked
            assert "Set-Cookie" not in reply.headers, asked
            assert reply.headers["X-Content-Type-Options"] == "nosniff"
            if reply.headers["Content-Type"].startswith("application/json"):
                json.loads(reply.body)
            else:
                assert text in ("", "..") or reply.body.find(text.encode(errors="replace")) < 0


@pytest.mark.parametrize("text", HOSTILE)
def test_no_header_of_a_caller_comes_back_as_another(served: Served, text: str) -> None:
    value = text.encode("utf-8", "surrogatepass").decode("latin-1")
    if {"\r", "\n"} & set(value):
        return  # no client sends it; the raw request is refused by the reading of heads
    reply = served.call("GET", "/nowhere", headers={"X-Request-ID": value, "Origin": value})

    assert reply.status in {400, 403, 404}
    assert "Set-Cookie" not in reply.headers
    assert "Access-Control-Allow-Origin" not in reply.headers
    assert reply.headers["X-Request-ID"].isprintable()


def test_metrics_name_every_agent_as_it_is(served: Served) -> None:
    last = served.stored()
    with served.redis as bus:
        for text in HOSTILE:
            beat = {"agent_id": f"a{text}", "name": text, "group": text, "status": text}
            bus.publish("heartbeat.x", json.dumps(beat))
        bus.publish("heartbeat.last", "{}")
    served.wait_until(lambda: "last" in ids(served))
    assert served.stored() > last

    text = served.get("/metrics").body.decode()
    strict = served.get("/metrics", Accept=OPEN_METRICS).body.decode()

    for families in (
        text_string_to_metric_families(text),
        openmetrics.text_string_to_metric_families(strict),
    ):
        (family,) = (one for one in families if one.name.endswith("agent_last_beat_seconds"))
        assert {sample.labels["agent"] for sample in family.samples} == ids(served)


def ids(served: Served) -> set[str]:
    return {row["id"] for row in served.get("/health/agents").json["agents"]}
