"""The rate limit behind proxies, and what is never limited."""

import pytest
from orchestrator.http.origins import Proxies
from pydantic import ValidationError

from .conftest import TOKENS, Serve, auth


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),  # no proxy of ours: not believed
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "1.1.1.1, 198.51.100.1", "198.51.100.1"),  # the first is made up
        ("10.0.0.1", "198.51.100.1, 10.0.0.2", "198.51.100.1"),  # two proxies
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "nonsense", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1, nonsense", "10.0.0.1"),
        ("::ffff:10.0.0.1", "2001:db8::1", "2001:db8::1"),
        ("::1", "198.51.100.7", "198.51.100.7"),
    ],
)
def test_the_client_is_the_last_that_no_trusted_proxy_is(
    peer: str, forwarded: str, client: str
) -> None:
    assert Proxies(["10.0.0.0/8", "::1"]).client(peer, forwarded) == client


def test_a_proxy_that_is_no_network_is_refused(serve: Serve) -> None:
    with pytest.raises(ValidationError, match="trusted_proxies"):
        serve(http={"trusted_proxies": ["proxy.example.com"]})


def test_without_trusted_proxies_nobody_gets_more_calls_by_a_header(serve: Serve) -> None:
    served = serve(http={"rate_limit_max": 10})
    got = [served.get("/state", X_Forwarded_For=f"198.51.100.{n}").status for n in range(15)]

    assert got[-1] == 429


def test_behind_a_trusted_proxy_each_client_has_calls_of_its_own(serve: Serve) -> None:
    served = serve(http={"rate_limit_max": 10, "trusted_proxies": ["127.0.0.0/8"]})
    first = [served.get("/state", X_Forwarded_For="198.51.100.1") for _ in range(11)]
    other = served.get("/state", X_Forwarded_For="198.51.100.1, 198.51.100.2")

    assert [reply.status for reply in first] == [200] * 10 + [429]
    assert other.status == 200
    assert other.headers["RateLimit-Remaining"] == "9"


def test_a_header_that_only_looks_like_it_is_not_believed(serve: Serve) -> None:
    served = serve(http={"rate_limit_max": 10, "trusted_proxies": ["127.0.0.0/8"]})
    got = []
    for number in range(15):
        headers: dict[str, str | None] = {
            "X-Forwarded-For": "198.51.100.1",
            "X_Forwarded_For": f"198.51.100.{number + 2}",  # passes some proxies
        }
        got.append(served.call("GET", "/state", headers=headers).status)

    assert got == [200] * 10 + [429] * 5


def test_the_stop_and_health_are_served_when_all_calls_are_used_up(serve: Serve) -> None:
    served = serve(http={"rate_limit_max": 1})
    used_up = [served.get("/state").status for _ in range(3)]

    assert used_up[-1] == 429
    assert served.get("/health").status == 200
    assert served.post("/risk/killswitch", {"reason": "drill"}).status == 200


def test_a_viewer_at_the_operators_address_uses_up_calls_of_his_own(serve: Serve) -> None:
    served = serve(http=auth(rate_limit_max=10), token=TOKENS["operator"])
    of_viewer = f"Bearer {TOKENS['viewer']}"
    viewer = [served.get("/state", Authorization=of_viewer).status for _ in range(12)]
    operator = served.get("/state")

    assert viewer[-1] == 429
    assert (operator.status, operator.headers["RateLimit-Remaining"]) == (200, "9")
