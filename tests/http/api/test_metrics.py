from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from ..conftest import Serve, Served


def samples(served: Served) -> dict[str, Any]:
    reply = served.get("/metrics")
    assert reply.status == 200
    assert reply.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return {
        sample.name + "".join(f",{k}={v}" for k, v in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(reply.body.decode())
        for sample in family.samples
    }


def test_the_page_tells_of_every_part(served: Served) -> None:
    last = served.stored()
    served.wait_committed(last)
    with served.socket("/?types=none"):
        found = samples(served)

    assert found["orchestrator_ws_clients"] == 1
    assert found["orchestrator_bus_connected"] == 1
    assert found["orchestrator_newest_event_id"] >= last
    assert found["orchestrator_events_persisted_total"] >= 1
    assert found["orchestrator_events_journalled_total,class=daemon"] >= 1
    assert found["orchestrator_events_lost_total"] == 0
    assert found["orchestrator_journal_bytes"] >= 0
    assert found["orchestrator_actor_inbox,actor=persister"] >= 0
    assert found["orchestrator_actor_restarts_total,actor=persister"] == 0
    assert found["orchestrator_killswitch_level,scope=all"] == 0
    assert found["orchestrator_http_requests_total,code=201,route=/bus/events"] >= 1
    assert found["orchestrator_http_request_seconds_count"] >= 1
    assert found["process_start_time_seconds"] > 0
    assert [name for name in found if name.startswith("orchestrator_build_info,")]
    assert [name for name in found if name.startswith("orchestrator_instance_info,")]


def test_requests_to_nowhere_share_one_label(served: Served) -> None:
    for number in range(10):
        served.get(f"/nothing/{number}")

    found = samples(served)

    assert found["orchestrator_http_requests_total,code=404,route=(none)"] == 10
    assert not [name for name in found if "nothing" in name]


def test_counters_go_on_when_the_server_is_restarted(serve: Serve) -> None:
    served = serve()
    before = samples(served)["orchestrator_http_request_seconds_count"]

    served.post("/runtime/actors/http/restart")
    served.wait_until(
        lambda: samples(served).get("orchestrator_actor_restarts_total,actor=http") == 1
    )

    assert samples(served)["orchestrator_http_request_seconds_count"] > before


def test_a_part_that_does_not_answer_is_left_out(serve: Serve, monkeypatch: Any) -> None:
    served = serve()
    monkeypatch.setattr(served.daemon._to.monitor, "closed", True)

    found = samples(served)

    assert not [name for name in found if name.startswith("orchestrator_agents")]
    assert found["orchestrator_bus_connected"] == 1
