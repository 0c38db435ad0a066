"""A daemon that notifies of its stop and exports spans, and neither at the cost of its work."""

import json

import pytest

from ..actors.notifier.receiver import SECRET, receiving
from ..actors.span_exporter.collector import attributes, collecting
from ..http.conftest import Serve, Served, serve

__all__ = ["serve"]

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
PATH = "/health/agents"


def test_a_stop_and_its_release_reach_the_receiver(serve: Serve) -> None:
    with receiving() as receiver:
        served = serve(notify={"url": receiver.url, "secret": SECRET})
        trip = served.post("/risk/killswitch", {"reason": "fat finger"}).json["trip_id"]
        served.wait_until(lambda: receiver.got)
        served.post("/risk/killswitch/release", {"reason": "known", "trip_id": trip})
        served.wait_until(lambda: len(receiver.got) == 2)
        served.wait_until(
            lambda: (
                b'orchestrator_notifications_total{result="delivered"} 2.0'
                in served.get("/metrics").body
            )
        )

    assert receiver.got[0]["text"].startswith("STOP (halt, all): fat finger")
    assert receiver.got[0]["instance"] == served.daemon.settings.instance.name
    assert receiver.got[1]["text"] == "trading is allowed again: known"
    assert receiver.forged == 0


def test_a_receiver_that_hangs_is_in_nobodys_way(serve: Serve) -> None:
    with receiving() as receiver:
        receiver.hangs.set()
        served = serve(notify={"url": receiver.url, "secret": SECRET, "timeout_s": 60})
        first = served.post("/risk/killswitch", {"reason": "first"})
        served.wait_until(lambda: receiver.ids)

        second = served.post("/risk/killswitch", {"reason": "second"})
        served.wait_committed(served.stored())

        assert (first.status, second.status) == (200, 200)
        assert served.get("/ready").status == 200


def test_without_a_receiver_there_is_no_notifier(serve: Serve) -> None:
    names = str(serve().get("/runtime/actors").json)

    assert "notifier" not in names


def exports(served: Served, result: str) -> float:
    name = f'orchestrator_spans_total{{result="{result}"}}'
    lines = served.get("/metrics").body.decode().splitlines()
    return next(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def test_traced_requests_and_events_reach_the_collector(serve: Serve) -> None:
    with collecting() as collector:
        served = serve(otel={"endpoint": collector.url})
        served.get(PATH, traceparent=PARENT)
        served.get(PATH)
        event = {"agent_id": "quotes-1", "traceparent": PARENT}
        served.redis.publish("data.market.AAPL", json.dumps(event))
        served.redis.publish("data.market.MSFT", json.dumps({"traceparent": f"{PARENT[:-1]}0"}))
        served.redis.publish("data.market.IBM", json.dumps({"note": '"traceparent"'}))
        served.wait_until(lambda: len(collector.spans) >= 2)
        served.wait_until(lambda: exports(served, "exported") == 2)

        found = collector.by_name()

    assert set(found) == {f"GET {PATH}", "process data.market.AAPL"}
    assert {span.trace_id.hex() for span in found.values()} == {TRACE}
    assert {span.parent_span_id.hex() for span in found.values()} == {PARENT[36:52]}
    assert all(span.start_time_unix_nano <= span.end_time_unix_nano for span in found.values())
    request = found[f"GET {PATH}"]
    assert request.kind == request.SPAN_KIND_SERVER
    assert attributes(request)["http.response.status_code"] == "200"
    consumed = found["process data.market.AAPL"]
    assert consumed.kind == consumed.SPAN_KIND_CONSUMER
    assert attributes(consumed)["orchestrator.source"] == "quotes-1"
    assert int(attributes(consumed)["messaging.message.id"]) > 0
    assert collector.resource["service.name"] == "orchestrator"
    assert collector.resource["service.version"] == served.daemon._instance.version


@pytest.mark.parametrize(
    ("answers", "exported", "asked"),
    [([503, 429], 1, 3), ([400], 0, 1)],
    ids=["passing", "lasting"],
)
def test_a_refused_batch_is_sent_again_only_if_that_is_of_use(
    serve: Serve, answers: list[int], exported: int, asked: int
) -> None:
    with collecting() as collector:
        collector.answers = answers
        served = serve(otel={"endpoint": collector.url})
        served.get(PATH, traceparent=PARENT)
        served.wait_until(lambda: exports(served, "exported") + exports(served, "refused") == 1)

        assert exports(served, "exported") == len(collector.spans) == exported
        assert collector.asked == asked


def test_a_collector_that_hangs_is_in_nobodys_way(serve: Serve) -> None:
    with collecting() as collector:
        collector.hangs.set()
        served = serve(otel={"endpoint": collector.url, "timeout_s": 60})
        served.get(PATH, traceparent=PARENT)
        served.wait_until(lambda: collector.asked)

        stop = served.post("/risk/killswitch", {"reason": "x"})
        served.wait_committed(served.stored())

        assert stop.status == 200
        assert served.get("/ready").status == 200


def test_without_a_collector_there_is_no_exporter(serve: Serve) -> None:
    served = serve()

    assert "span-exporter" not in str(served.get("/runtime/actors").json)
    assert exports(served, "exported") == 0
