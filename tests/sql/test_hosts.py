import pytest
from orchestrator.sql.connection import parameters
from orchestrator.sql.hosts import Hosts

WRITABLE = "target_session_attrs=read-write"


def hosts(url: str) -> Hosts:
    return Hosts(parameters(url))


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://u@h/d?{WRITABLE}",
        "postgresql://u@h1,h2/d",
        "postgresql://u@h1,h2/d?target_session_attrs=any",
        "postgresql:///d",
        f"postgresql:///d?host=a,b,c&port=1,2&{WRITABLE}",
    ],
)
def test_one_host_or_any_that_answers_is_left_to_libpq(url: str) -> None:
    found = hosts(url)

    assert (found.in_order, found.others) == ({}, ())
    assert not found.use("h2", 5432)


@pytest.mark.parametrize(
    ("url", "in_order"),
    [
        (f"postgresql://u@h1:1,h2:2/d?{WRITABLE}", {"host": "h1,h2", "port": "1,2"}),
        (f"postgresql://u@h1,h2/d?{WRITABLE}", {"host": "h1,h2", "port": ","}),
        ("postgresql://u@h1,h2:7/d?target_session_attrs=primary", {"host": "h1,h2", "port": ",7"}),
        (f"postgresql:///d?host=%2Fa,%2Fb&port=7&{WRITABLE}", {"host": "/a,/b", "port": "7,7"}),
        (f"postgresql:///d?hostaddr=::1,127.0.0.1&{WRITABLE}", {"hostaddr": "::1,127.0.0.1"}),
    ],
)
def test_several_hosts_stay_in_the_urls_order_at_first(url: str, in_order: dict[str, str]) -> None:
    assert hosts(url).in_order == in_order


def test_the_one_in_use_is_tried_first_and_the_others_in_their_order() -> None:
    found = hosts(f"postgresql://u@h1:1,h2:2,h3:3/d?{WRITABLE}")

    assert found.use("h2", 2)
    assert found.in_order == {"host": "h2,h1,h3", "port": "2,1,3"}
    assert found.others == ({"host": "h1", "port": "1"}, {"host": "h3", "port": "3"})
    assert not found.use("h2", 2)
    assert not found.use("h3", 4), "another server than any of them"
    assert found.in_order["host"] == "h2,h1,h3"


def test_a_host_without_a_port_is_known_by_the_usual_one() -> None:
    found = hosts(f"postgresql:///d?hostaddr=10.0.0.1,10.0.0.2&{WRITABLE}")

    assert found.use("10.0.0.2", 5432)
    assert found.in_order == {"hostaddr": "10.0.0.2,10.0.0.1"}
