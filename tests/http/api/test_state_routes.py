import json
from typing import Any

from ..conftest import Serve


def test_the_regime_is_the_last_report_with_time_and_source(serve: Serve) -> None:
    served = serve()
    none = served.get("/regime/state")
    report = {"agent_id": "regime-1", "regime": "volatile", "trend": "bullish", "confidence": 0.8}
    with served.redis as bus:
        bus.publish("quant.regime.state", json.dumps(report))
    served.wait_until(lambda: served.get("/regime/state").json["status"] == "ok")

    reply = served.get("/regime/state")

    assert none.status == 200
    assert none.json["status"] == "no_data"
    assert none.json["message"]
    regime = reply.json["regime"]
    assert {**regime, **report} == regime
    assert regime["source"] == "regime-1"
    assert regime["last_update"].endswith("Z")


def test_the_state_is_listed_and_read_by_key(serve: Serve) -> None:
    served = serve()

    def keys() -> dict[str, Any]:
        return {row["key"]: row for row in served.get("/state").json["state"]}

    served.wait_until(lambda: {"active_agents_count", "killswitch_status"} <= set(keys()))

    row = served.get("/state/active_agents_count")
    assert row.status == 200
    assert row.json["key"] == "active_agents_count"
    assert row.json["value"]["count"] == 0
    assert row.json["updated_at"].endswith("Z")
    assert served.get("/state/no%20such").status == 404
