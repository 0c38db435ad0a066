import pytest
from orchestrator.protocol.bus_options import (
    BadBusUrl,
    Tls,
    client_name,
    read_options,
    read_tls,
    tls_options,
)


def test_the_first_of_options_that_repeat_counts() -> None:
    assert read_options("db=1&db=2&family=4", "redis") == {"db": "1", "family": "4"}


def test_an_unknown_option_is_named_unless_it_may_be_the_rest_of_a_password() -> None:
    with pytest.raises(BadBusUrl, match=r"^retries: an option that Redis clients"):
        read_options("retries=3", "redis")
    with pytest.raises(BadBusUrl, match=r"^an option that .* in a password write & as %26$"):
        read_options("password=ab&cd=3", "redis")


def test_tls_options_need_tls() -> None:
    assert read_options("ssl_ca_certs=/ca", "rediss") == {"ssl_ca_certs": "/ca"}
    with pytest.raises(BadBusUrl, match=r"^ssl_ca_certs: only rediss:// speaks TLS$"):
        read_options("ssl_ca_certs=/ca", "redis")


@pytest.mark.parametrize("name", ["a b", "a\nb", "ä", ""])
def test_a_client_name_that_redis_refuses_is_refused(name: str) -> None:
    with pytest.raises(BadBusUrl, match=r"^client_name: "):
        client_name({"client_name": name})


def test_a_client_name_may_be_left_out() -> None:
    assert client_name({}) is None
    assert client_name({"client_name": "risk-1"}) == "risk-1"


def test_a_key_needs_its_certificate_and_a_certificate_no_key() -> None:
    assert read_tls({"ssl_certfile": "/c"}) == Tls(certfile="/c")
    assert read_tls({"ssl_certfile": "/c", "ssl_keyfile": "/k"}).keyfile == "/k"
    with pytest.raises(BadBusUrl, match=r"^ssl_keyfile: expected ssl_certfile too$"):
        read_tls({"ssl_keyfile": "/k"})


def test_flags_are_names_that_python_knows() -> None:
    flags = read_tls({"ssl_include_verify_flags": "VERIFY_X509_STRICT"}).include_verify_flags

    assert flags == ("VERIFY_X509_STRICT",)
    with pytest.raises(BadBusUrl, match=r"^ssl_include_verify_flags: expected names"):
        read_tls({"ssl_include_verify_flags": "VERIFY_X509_STRICT,NO_SUCH"})


def test_only_what_differs_from_the_clients_own_defaults_is_handed_on() -> None:
    assert tls_options(Tls()) == {}
    assert tls_options(Tls(ca_certs="/ca", cert_reqs="none")) == {
        "ssl_ca_certs": "/ca",
        "ssl_cert_reqs": "none",
    }
