import json
import socket
from pathlib import Path
from typing import Any

import pytest
from orchestrator.cli.client.rest import Client, path_with, segment, split_url
from orchestrator.cli.errors import BadUsage, ExitCode, Failure

from ..conftest import Double, Orc

NOBODY = "http://127.0.0.1:1"


def failure_of(double: Double, status: int, body: Any, path: str = "/x") -> Failure:
    double.answers[path] = (status, body)
    with Client(double.url, timeout_s=5) as client, pytest.raises(Failure) as caught:
        client.get(path)
    return caught.value


def test_an_unreachable_daemon_is_exit_code_three_with_the_next_step(orc: Orc) -> None:
    done = orc("--url", NOBODY, "status")

    assert done.code == ExitCode.UNREACHABLE
    assert done.out == ""
    assert done.err.splitlines() == [
        f"error  cannot reach the daemon at {NOBODY}",
        "cause  Connection refused",
        "next   start it with `orchestrator run`, or name another with --url",
    ]


def test_the_same_error_is_an_object_under_json(orc: Orc) -> None:
    done = orc("status", "-o", "json", ORCHESTRATOR_URL=NOBODY)

    error = json.loads(done.err)["error"]
    assert (error["code"], error["exit_code"]) == ("unreachable", 3)


@pytest.mark.parametrize(
    ("status", "code", "exit_code"),
    [
        (400, "bad_request", ExitCode.USAGE),
        (401, "unauthorized", ExitCode.FORBIDDEN),
        (403, "forbidden", ExitCode.FORBIDDEN),
        (404, "not_found", ExitCode.NOT_FOUND),
        (409, "conflict", ExitCode.FAILED),
        (413, "too_large", ExitCode.USAGE),
        (429, "rate_limited", ExitCode.FAILED),
        (500, "server_error", ExitCode.FAILED),
        (503, "unavailable", ExitCode.UNREACHABLE),
    ],
)
def test_each_refusal_has_its_word_and_its_exit_code(
    double: Double, status: int, code: str, exit_code: ExitCode
) -> None:
    failure = failure_of(double, status, {"error": "No", "message": "do this"})

    assert (failure.code, failure.exit_code, failure.cause) == (code, exit_code, "do this")
    assert failure.message == "the daemon says: No"


def test_when_to_try_again_is_told(double: Double) -> None:
    double.headers["Retry-After"] = "7"

    failure = failure_of(double, 503, {"error": "Unavailable"})

    assert failure.advice.startswith("try again in 7 s")


@pytest.mark.parametrize("content", [b"<html>", b"[1]", b"", b"\xff"])
def test_what_is_no_daemon_is_said_so(double: Double, content: bytes) -> None:
    failure = failure_of(double, 200, content)

    assert (failure.code, failure.exit_code) == ("not_a_daemon", ExitCode.UNREACHABLE)


def test_silence_ends_at_the_limit() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with Client(url, timeout_s=0.2) as client, pytest.raises(Failure) as caught:
            client.get("/health")

    assert (caught.value.code, caught.value.cause) == ("no_answer", "no answer within 0.2 s")


def test_one_connection_serves_many_calls_and_survives_being_closed(double: Double) -> None:
    double.answers["/x"] = (200, {"a": 1})

    with Client(double.url, timeout_s=5) as client:
        assert client.get("/x") == {"a": 1}
        double.headers["Connection"] = "close"
        assert client.get("/x") == {"a": 1}
        assert client.get("/x") == {"a": 1}


def test_the_token_of_a_file_is_sent(double: Double, tmp_path: Path, orc: Orc) -> None:
    double.answers["/state"] = (200, {"state": []})
    (tmp_path / "token").write_text("c2VjcmV0\n")

    done = orc("--url", double.url, "--token-file", "token", "state", "ls")

    assert done.code == 0
    assert double.requests[0][2]["Authorization"] == "Bearer c2VjcmV0"


def test_the_token_of_the_environment_is_sent(double: Double, orc: Orc) -> None:
    double.answers["/state"] = (200, {"state": []})

    orc("--url", double.url, "state", "ls", ORCHESTRATOR_TOKEN="c2VjcmV0")  # noqa: S106 - a test's

    assert double.requests[0][2]["Authorization"] == "Bearer c2VjcmV0"


def test_an_unreadable_token_file_is_told(orc: Orc) -> None:
    done = orc("--token-file", "nowhere", "status")

    assert done.code == 1
    assert "cannot read the token file nowhere" in done.err


def test_a_post_says_that_it_is_json(double: Double) -> None:
    double.answers["/x"] = (200, {})

    with Client(double.url, timeout_s=5) as client:
        client.post("/x", {"reason": "é"})

    method, _, headers, body = double.requests[0]
    assert (method, headers["Content-Type"]) == ("POST", "application/json")
    assert json.loads(body) == {"reason": "é"}


def test_a_path_in_the_url_stands_in_front(double: Double) -> None:
    double.answers["/desk-a/x"] = (200, {})

    with Client(f"{double.url}/desk-a/", timeout_s=5) as client:
        assert client.get("/x") == {}


@pytest.mark.parametrize("url", ["", "ftp://x", "http://", "http://x:99999", "http://[::1"])
def test_what_is_no_url_is_wrong_usage(url: str) -> None:
    with pytest.raises(BadUsage):
        split_url(url)


def test_host_and_port_alone_mean_http() -> None:
    assert split_url("localhost:8090").geturl() == "http://localhost:8090"


def test_what_is_none_is_left_out_of_a_query() -> None:
    path = path_with("/x", {"a": None, "type": ["b.*", "c"], "n": 1})

    assert path == "/x?type=b.%2A&type=c&n=1"
    assert path_with("/x", {"a": None}) == "/x"


def test_an_id_is_one_part_of_a_path() -> None:
    assert segment("a/b c") == "a%2Fb%20c"


def test_verbose_tells_each_request(double: Double, orc: Orc) -> None:
    double.answers["/state"] = (200, {"state": []})

    done = orc("--url", double.url, "-v", "state", "ls")

    assert "GET /state -> 200 in " in done.err
