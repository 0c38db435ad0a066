import random
from typing import Any

import msgspec
import pytest
from orchestrator.agents.payloads import Candidate, Heartbeat, Quote, Regime
from orchestrator.agents.samples.dev import SYMBOLS, draw_candidate
from orchestrator.agents.samples.quotes import quote
from orchestrator.agents.samples.regime import RegimeOptions, Windows, judge


def judged() -> dict[str, Any]:
    windows = Windows(RegimeOptions())
    for price in (10.0, 10.1, 9.9, 10.4):
        windows.add("AAPL", price)
    return judge(windows.readings(), RegimeOptions())


@pytest.mark.parametrize(
    ("payload", "model"),
    [
        (quote("AAPL", 190.0, "1m", random.Random(1)), Quote),
        (draw_candidate(random.Random(1), SYMBOLS), Candidate),
        (judged(), Regime),
        ({"agent_id": "a", "status": "active", "name": "A", "pid": 7}, Heartbeat),
    ],
)
def test_what_the_samples_publish_is_of_the_models_and_keeps_its_fields(
    payload: dict[str, Any], model: Any
) -> None:
    body = msgspec.json.encode(payload)

    back = msgspec.to_builtins(msgspec.json.decode(body, type=model))

    assert back == {
        name: value for name, value in msgspec.json.decode(body).items() if name in back
    }
    assert set(payload) - set(back) <= {"pid"}


@pytest.mark.parametrize(
    ("payload", "model", "reason"),
    [
        ({"symbol": "AAPL", "price": 0}, Quote, "price"),
        ({"symbol": "AAPL", "price": "190"}, Quote, "Expected `float`, got `str`"),
        ({"symbol": "AAPL", "action": "buy"}, Candidate, "Invalid enum value 'buy'"),
        ({"symbol": "AAPL", "action": "BUY", "confidence": 1.1}, Candidate, "confidence"),
        ({"action": "BUY"}, Candidate, "missing required field `symbol`"),
    ],
)
def test_what_is_none_is_refused_with_its_field(
    payload: dict[str, Any], model: Any, reason: str
) -> None:
    with pytest.raises(msgspec.ValidationError, match=reason):
        msgspec.json.decode(msgspec.json.encode(payload), type=model)
