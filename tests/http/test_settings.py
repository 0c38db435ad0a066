import pytest
from orchestrator.http.settings import HttpSettings, WebSocketSettings, is_loopback, origins_of
from pydantic import ValidationError


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"]
)
def test_loopback_is_recognised(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["10.0.0.1", "::", "::2", "example.com", "", "localhost.x"])
def test_everything_else_is_not_loopback(host: str) -> None:
    assert not is_loopback(host)


def test_the_defaults_are_the_contracts() -> None:
    http, websocket = HttpSettings(), WebSocketSettings()

    assert (http.host, http.port, http.insecure) == ("127.0.0.1", 8090, False)
    assert (http.rate_limit_max, http.rate_limit_window_ms) == (60, 60_000)
    assert http.max_body_bytes == 1024 * 1024
    assert (websocket.ping_interval_s, websocket.ping_timeout_s) == (30, 60)
    assert websocket.max_message_bytes == 64 * 1024


def test_several_origins_are_separated_by_commas() -> None:
    settings = HttpSettings(front_origin="https://A.example/, http://b.example:3000 ,")

    assert origins_of(settings.front_origin) == ("https://a.example", "http://b.example:3000")


@pytest.mark.parametrize("origin", ["desk.example.com", "*", "https://a.example/path", "ftp://a"])
def test_what_is_no_origin_is_refused(origin: str) -> None:
    with pytest.raises(ValidationError, match="is not an origin"):
        HttpSettings(front_origin=origin)


def test_unknown_keys_are_refused() -> None:
    with pytest.raises(ValidationError):
        HttpSettings.model_validate({"prot": 1})


@pytest.mark.parametrize(
    ("origin", "sent"),
    [
        ("https://desk.example:443", "browsers send https://desk.example"),
        ("http://desk.example:80", "browsers send http://desk.example"),
        ("http://[0:0:0:0:0:0:0:1]:3000", r"browsers send http://\[::1\]:3000"),
        ("https://büro.example", "browsers send https://xn--bro-hoa.example"),
        ("https://u:p@desk.example", "is not an origin"),
        ("https://*.example", "is not an origin"),
        ("https://desk.example?x", "is not an origin"),
        ("https://desk.example#", "is not an origin"),
        ("http://:3000", "is not an origin"),
        ("http://127.1", "is not an origin"),
        ("http://h:99999", "is not an origin"),
        ("null", "is not an origin"),
        ("ws://desk.example", "is not an origin"),
    ],
)
def test_an_origin_that_no_browser_sends_is_refused(origin: str, sent: str) -> None:
    with pytest.raises(ValidationError, match=sent):
        HttpSettings(front_origin=f"https://good.example,{origin}")


@pytest.mark.parametrize(
    "origin",
    ["http://localhost:3000", "https://a_b.example", "http://[::1]:3000", "http://127.0.0.1"],
)
def test_an_origin_that_browsers_send_is_taken(origin: str) -> None:
    assert origins_of(HttpSettings(front_origin=origin).front_origin) == (origin,)
