"""Tokens that come and go while the daemon runs."""

import hashlib
import socket
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from orchestrator.http.auth import ANONYMOUS, EXPIRED, REVOKED, Access, Caller, Role, Sessions
from orchestrator.http.server import GetHttpStatus
from orchestrator.http.settings import AuthSettings, TokenSettings
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from ..http.conftest import frame
from .conftest import LIMIT_S, TOKENS, Serve, Served, auth, received

MANY_TRIES = 12
"""More than the wrong tokens of an address that are answered 401."""


def use(served: Served, *roles: str, **more: Any) -> None:
    """Read settings anew in which only these tokens are left."""
    settings = served.daemon.settings
    left = tuple(token for token in settings.http.auth.tokens if token.role in roles)
    changed = settings.http.auth.model_copy(update={"tokens": left} | more)
    http = settings.http.model_copy(update={"auth": changed})
    served.daemon.reloads.use(settings.model_copy(update={"http": http}), "test")


def status(served: Served, role: str) -> int:
    return served.call("GET", "/state", headers=bearer(role)).status


def expired(token: TokenSettings) -> TokenSettings:
    return token.model_copy(update={"expires": datetime(2020, 1, 31, tzinfo=UTC)})


def expire(served: Served, role: str) -> None:
    """Read settings anew in which the token of this role has expired."""
    tokens = served.daemon.settings.http.auth.tokens
    changed = tuple(expired(token) if token.role == role else token for token in tokens)
    use(served, tokens=changed)


def bearer(role: str) -> dict[str, str | None]:
    return {"Authorization": f"Bearer {TOKENS[role]}"}


def headers(role: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKENS[role]}"}


def read_all(client: ClientConnection) -> None:
    while True:
        client.recv(timeout=10)


def close_of(client: ClientConnection) -> tuple[int, str]:
    """How the server closes it."""
    with pytest.raises(ConnectionClosed) as closed:
        read_all(client)
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code, closed.value.rcvd.reason


def test_a_revoked_token_is_out_at_once_and_its_websockets_with_it(serve: Serve) -> None:
    served = serve(http=auth(), token=TOKENS["operator"])
    with (
        served.socket("/", additional_headers=headers("viewer")) as viewer,
        served.socket("/?types=strategy.*", additional_headers=headers("operator")) as operator,
    ):
        use(served, "operator", "tripper")

        assert close_of(viewer) == (1008, "the token was revoked")
        assert status(served, "viewer") == 401
        event_id = served.stored()
        assert frame(operator)["id"] == event_id
    served.wait_until(lambda: len(served.listening.sessions) == 0)


def test_server_sent_events_of_a_revoked_token_end(serve: Serve) -> None:
    served = serve(http=auth(), token=TOKENS["operator"])
    request = (
        "GET /events/stream HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Bearer {TOKENS['viewer']}\r\n\r\n"
    )
    with socket.create_connection((served.host, served.port), timeout=LIMIT_S) as sock:
        sock.sendall(request.encode())
        begin = sock.recv(65536)
        served.wait_until(lambda: len(served.listening.sessions) == 1)
        use(served, "operator")

        received(sock)  # ends
    assert begin.startswith(b"HTTP/1.1 200")
    served.wait_until(lambda: len(served.listening.sessions) == 0)


def test_a_token_that_is_added_is_good_at_once(serve: Serve) -> None:
    served = serve(http=auth(), token=TOKENS["operator"])
    settings = served.daemon.settings
    use(served, "operator")
    served.wait_until(lambda: status(served, "tripper") == 401)

    served.daemon.reloads.use(settings, "test")

    served.wait_until(lambda: status(served, "tripper") == 200)


def test_a_websocket_from_before_there_were_tokens_is_closed(serve: Serve) -> None:
    served = serve()
    with served.socket() as anybody:
        tokens = _tokens(["operator"])
        served.token = TOKENS["operator"]
        use(served, tokens=tokens)

        assert close_of(anybody)[0] == 1008
        assert served.call("GET", "/state", headers={"Authorization": None}).status == 401


def test_strangers_are_not_let_in_by_taking_the_last_token(
    serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    served = serve(http=auth(host="0.0.0.0"), token=TOKENS["operator"])  # noqa: S104 that is the point
    use(served)  # no token is left
    served.daemon._to.http.ask(GetHttpStatus(), timeout_s=5)  # behind the change

    assert served.call("GET", "/state", headers={"Authorization": None}).status == 401
    assert served.get("/state").status == 200
    assert "tokens unchanged" in capsys.readouterr().out


def test_it_outlives_a_restart_of_the_server(serve: Serve) -> None:
    served = serve(http=auth(), token=TOKENS["operator"])
    with served.socket("/", additional_headers=headers("viewer")) as viewer:
        served.daemon._to.http.tell(object())  # nothing that it knows
        served.wait_until(
            lambda: "http" in served.get("/bus/events?type=runtime.actor_restarted").body.decode()
        )
        use(served, "operator")

        assert close_of(viewer)[0] == 1008


def test_wrong_tokens_still_count_after_a_reload(serve: Serve) -> None:
    served = serve(http=auth(), token=TOKENS["operator"])
    wrong: dict[str, str | None] = {"Authorization": "Bearer guess"}
    tried = [served.call("GET", "/state", headers=wrong).status for _ in range(10)]

    use(served, "operator", "tripper")
    served.wait_until(lambda: status(served, "tripper") == 200)

    assert tried == [401] * 10
    assert served.call("GET", "/state", headers=wrong).status == 429


def _tokens(roles: Sequence[str]) -> tuple[TokenSettings, ...]:
    return tuple(
        TokenSettings.model_validate(
            {
                "name": role,
                "role": role,
                "sha256": hashlib.sha256(TOKENS[role].encode()).hexdigest(),
            }
        )
        for role in roles
    )


def test_one_who_was_revoked_on_the_way_in_is_closed_at_once() -> None:
    closed: list[str] = []
    sessions = Sessions()
    access = Access(AuthSettings(tokens=_tokens(["operator"])))
    late = Caller(Role.VIEWER, "viewer", b"no longer known")

    with sessions.held(late, closed.append, access):
        assert closed == [REVOKED]
        assert len(sessions) == 1
    assert (len(sessions), sessions.close_invalid(access)) == (0, 0)


def test_an_expired_token_is_refused_in_words_and_its_websocket_closed(serve: Serve) -> None:
    served = serve(http=auth(), token=TOKENS["operator"])
    with served.socket("/", additional_headers=headers("viewer")) as viewer:
        expire(served, "viewer")

        assert close_of(viewer) == (1008, EXPIRED)
        tried = [served.call("GET", "/state", headers=bearer("viewer")) for _ in range(MANY_TRIES)]

    assert {answer.status for answer in tried} == {401}  # known, so never limited as a guess is
    assert (
        tried[0].json["message"].startswith("The token viewer expired at 2020-01-31T00:00:00.000Z")
    )
    assert served.call("GET", "/health", headers=bearer("viewer")).status == 200
    assert status(served, "operator") == 200


def test_a_feed_is_closed_once_when_its_token_expires() -> None:
    sessions, access = Sessions(), Access(AuthSettings(tokens=_tokens(["operator"])))
    operator = next(iter(access._tokens.values()))
    closed: list[str] = []

    with sessions.held(operator, closed.append, access):
        untouched = sessions.close_invalid(access)
        access.use(AuthSettings(tokens=(expired(_tokens(["operator"])[0]),)))
        counts = [sessions.close_invalid(access) for _ in range(2)]

    assert (untouched, counts, closed) == (0, [1, 0], [EXPIRED])


def test_only_expired_tokens_let_nobody_in() -> None:
    access = Access(AuthSettings(tokens=(expired(_tokens(["operator"])[0]),)))

    assert access.enabled
    assert access.caller_of({"REMOTE_ADDR": "10.0.0.1"}) == ANONYMOUS


def test_without_tokens_everybody_stays() -> None:
    assert Access(AuthSettings()).objection(ANONYMOUS) is None
