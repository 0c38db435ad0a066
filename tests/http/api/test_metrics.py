import json
import shutil
import subprocess
from typing import Any

import gevent
import pytest
from orchestrator.http.api.metrics import bounded_ages
from orchestrator.runtime.telemetry.metrics import MAX_LABEL_VALUES
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from ..conftest import Serve, Served

AGENTS = 10_000
OPEN_METRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"


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
    assert found["orchestrator_http_connections"] >= 1
    assert found["orchestrator_db_connections,state=idle"] >= 1
    assert found["orchestrator_db_waiting"] == 0
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


def test_promtool_finds_no_fault(served: Served) -> None:
    promtool = shutil.which("promtool")
    assert promtool, "Debian: apt-get install prometheus"
    served.stored("quant.regime.state", {"regime": "stable"})
    served.wait_until(lambda: "orchestrator_db_bytes" in samples_text(served))

    checked = subprocess.run(
        [promtool, "check", "metrics"],
        input=served.get("/metrics").body,
        capture_output=True,
        check=False,
    )

    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")


def samples_text(served: Served) -> str:
    return served.get("/metrics").body.decode()


def test_a_scraper_that_takes_openmetrics_gets_it(served: Served) -> None:
    reply = served.get("/metrics", Accept=OPEN_METRICS)

    assert reply.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    families = {
        family.name for family in openmetrics.text_string_to_metric_families(reply.body.decode())
    }
    assert {"orchestrator_events_persisted", "orchestrator_ingest_lag_seconds"} <= families


def test_servers_lag_and_ages_are_on_the_page(served: Served) -> None:
    served.redis.publish("heartbeat.a-1", json.dumps({"agent_id": "a-1", "status": "active"}))
    served.wait_committed(served.stored("quant.regime.state", {"regime": "stable"}))
    served.wait_until(
        lambda: (
            {
                "orchestrator_agent_last_beat_seconds,agent=a-1",
                "orchestrator_db_bytes,class=events",
                "orchestrator_state_age_seconds,key=regime_state",
            }
            <= samples(served).keys()
        )
    )

    found = samples(served)
    assert found["orchestrator_postgres_up"] == 1
    assert found["orchestrator_redis_up"] == 1
    assert found["orchestrator_db_bytes,class=events"] > 0
    assert found["orchestrator_persist_behind_seconds"] >= 0
    assert found["orchestrator_ingest_lag_seconds_count"] >= 1
    assert (
        found["orchestrator_ingest_lag_seconds_bucket,le=+Inf"]
        == found["orchestrator_ingest_lag_seconds_count"]
    )


@pytest.mark.slow
def test_ten_thousand_agents_make_no_more_series_than_two_hundred(serve: Serve) -> None:
    served = serve()
    beats = served.redis.pipeline(transaction=False)
    for number in range(AGENTS):
        beats.publish(f"heartbeat.agent-{number:05}", json.dumps({"interval_s": 600}))
        if number % 100 == 99:
            beats.execute()
            gevent.sleep(0.01)  # what arrives is read by this very process
    served.wait_until(
        lambda: samples(served).get("orchestrator_agents,kind=external,state=up") == AGENTS,
        limit_s=60,
    )

    found = samples(served)

    of_agents = [name for name in found if ",agent=" in name and "last_beat" in name]
    assert len(of_agents) == MAX_LABEL_VALUES + 1
    assert "orchestrator_agent_last_beat_seconds,agent=other" in of_agents
    assert len(found) < 1_000


def test_of_many_ages_the_same_names_stay_and_the_longest_of_the_rest_counts() -> None:
    ages = {f"a-{number:03}": float(number) for number in reversed(range(300))}

    found = dict(bounded_ages(ages))

    assert [*found] == [*((f"a-{number:03}",) for number in range(MAX_LABEL_VALUES)), ("other",)]
    assert found["other",] == 299


def test_an_agent_called_other_gives_no_second_series_of_that_name() -> None:
    ages = {f"z-{number:03}": float(number) for number in range(300)} | {"other": 999.0}
    found = list(bounded_ages(ages))

    assert len(dict(found)) == len(found)
    assert dict(found)["other",] == 999
