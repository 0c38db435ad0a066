from orchestrator.http.routes import json_answer


def test_a_value_becomes_a_json_answer() -> None:
    answer = json_answer({"a": 1}, 201, (("X-A", "b"),))

    assert answer.body == b'{"a":1}'
    assert (answer.status, answer.content_type) == (201, "application/json")
    assert answer.headers == (("X-A", "b"),)
