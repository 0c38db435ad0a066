import pytest
from orchestrator.http.errors import BadRequest, Forbidden
from orchestrator.http.origins import HostRule, Origins, client_key

FRONT = "https://desk.example.com"


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:8090",
        "LOCALHOST:8090",
        "desk.localhost",
        "127.0.0.1",
        "127.1.2.3:80",
        "[::1]",
        "[::1]:8090",
        "proxy.example.com",
        "proxy.example.com:443",
        "exact.example.com:8443",
    ],
)
def test_loopback_names_and_allowed_hosts_are_ours(host: str) -> None:
    allowed = ["proxy.example.com", "Exact.example.com:8443"]

    HostRule(loopback=True, allowed=allowed).check(host, http_1_1=True)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "10.0.0.1",
        "0.0.0.0",  # noqa: S104 never bound
        "[::2]:80",
        "exact.example.com:1",
        "::1",
        "evil.example:8090@localhost",
    ],
)
def test_on_loopback_other_hosts_are_refused(host: str) -> None:
    rule = HostRule(loopback=True, allowed=["exact.example.com:8443"])

    with pytest.raises(Forbidden):
        rule.check(host, http_1_1=True)


def test_off_loopback_any_host_is_taken() -> None:
    HostRule(loopback=False).check("desk.example.com", http_1_1=True)


@pytest.mark.parametrize("host", [None, ""])
def test_only_http_1_0_may_come_without_a_host(host: str | None) -> None:
    HostRule(loopback=True).check(host, http_1_1=False)

    with pytest.raises(BadRequest):
        HostRule(loopback=True).check(host, http_1_1=True)


@pytest.mark.parametrize(
    ("origin", "host", "expected"),
    [
        (None, "localhost:8090", True),
        ("http://localhost:8090", "localhost:8090", True),
        ("https://localhost:8090", "localhost:8090", True),
        (FRONT, "localhost:8090", True),
        (FRONT.upper(), "localhost:8090", True),
        ("https://other.example.com", "localhost:8090", True),
        ("http://localhost:3000", "localhost:8090", False),
        ("http://localhost", "localhost:8090", False),
        ("https://desk.example.com.evil.example", "localhost:8090", False),
        ("https://desk.example.com:8443", "localhost:8090", False),
        ("http://desk.example.com", "localhost:8090", False),
        ("null", "localhost:8090", False),
        ("null", None, False),
        ("", "localhost:8090", False),
        ("file://localhost:8090", "localhost:8090", False),
        ("http://evil@localhost:8090", "localhost:8090", False),
    ],
)
def test_who_may_change_state(origin: str | None, host: str | None, expected: bool) -> None:
    origins = Origins(f"{FRONT}, https://other.example.com/")

    assert origins.may_change(origin, host) is expected


def test_only_origins_in_front_get_cors_headers() -> None:
    origins = Origins(FRONT)

    allowed = dict(origins.headers(FRONT))
    other = dict(origins.headers("https://evil.example"))

    assert allowed["Access-Control-Allow-Origin"] == FRONT
    assert allowed["Access-Control-Allow-Credentials"] == "true"
    assert allowed["Vary"] == "Origin"
    assert other == {"Vary": "Origin"}
    assert origins.preflight_headers("https://evil.example", "GET") == ()


def test_preflights_allow_the_headers_of_the_contract() -> None:
    headers = dict(Origins(FRONT).preflight_headers(FRONT, "GET, OPTIONS"))

    assert headers["Access-Control-Allow-Methods"] == "GET, OPTIONS"
    assert headers["Access-Control-Allow-Headers"] == (
        "Content-Type, Accept, Authorization, Cache-Control, X-Request-ID"
    )


def test_without_front_origin_there_are_no_cors_headers() -> None:
    assert Origins("").headers(FRONT) == ()


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2ff::1", "2001:db8:1:200::/56"),
        ("2001:db8:1:201:9::7", "2001:db8:1:200::/56"),
        ("2001:db8:1:300::1", "2001:db8:1:300::/56"),
        ("fd00::1:2", "fd00::1:2"),
        ("fe80::1%eth0", "fe80::1"),
        ("::1", "::1"),
        ("unix", "unix"),
    ],
)
def test_limits_count_a_customers_network_as_one_client(address: str, key: str) -> None:
    assert client_key(address) == key
