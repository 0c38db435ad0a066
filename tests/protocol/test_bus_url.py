# ruff: noqa: S106 - passwords of no server
import ast
import contextlib
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from orchestrator.protocol import bus_options, bus_url
from orchestrator.protocol.bus_options import IGNORED
from orchestrator.protocol.bus_url import BadBusUrl, BusUrl, Tls, read_bus_url
from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection, parse_url

PLAIN = BusUrl("h")

ACCEPTED = [
    ("redis://localhost:6379", BusUrl("localhost", 6379)),
    ("redis://localhost", BusUrl("localhost", 6379)),
    ("redis://", BusUrl()),
    ("redis:///3", BusUrl(db=3)),
    ("redis://:7000", BusUrl(port=7000)),
    ("redis://h", PLAIN),
    ("redis://h/", PLAIN),
    ("redis://h:", PLAIN),
    ("redis://h:/", PLAIN),
    ("redis://EXAMPLE.internal", BusUrl("example.internal")),
    ("redis://h:06380", BusUrl("h", 6380)),
    ("redis://h:65535", BusUrl("h", 65535)),
    ("redis://h/15", BusUrl("h", db=15)),
    ("redis://h?db=3", BusUrl("h", db=3)),
    ("redis://127.0.0.1:6379/?db=3", BusUrl("127.0.0.1", db=3)),
    ("redis://h/1?db=3", BusUrl("h", db=3)),
    ("redis://h/2?db=0", BusUrl("h")),
    ("redis://h/2?db=", BusUrl("h", db=2)),
    ("redis://[::1]", BusUrl("::1")),
    ("redis://[::1]:6379/5", BusUrl("::1", db=5)),
    ("redis://[2001:DB8::7]:6380", BusUrl("2001:db8::7", 6380)),
    ("redis://[fe80::1%25Eth0]:1", BusUrl("fe80::1%Eth0", 1)),
    ("redis://u:p@[fe80::1]/1", BusUrl("fe80::1", db=1, username="u", password="p")),
    (
        "redis://user:p%40ss%3Aw%2Frd%231%3F%25@127.0.0.1:6379/0",
        BusUrl("127.0.0.1", username="user", password="p@ss:w/rd#1?%"),
    ),
    ("redis://:word@h", BusUrl("h", password="word")),
    ("redis://u@h", BusUrl("h", username="u")),
    ("redis://u:@h", BusUrl("h", username="u")),
    ("redis://:@h", PLAIN),
    ("redis://@h", PLAIN),
    ("redis://u:a:b@h", BusUrl("h", username="u", password="a:b")),
    ("redis://u%3Av:p@h", BusUrl("h", username="u:v", password="p")),
    ("redis://u:p%c3%a4ss@h", BusUrl("h", username="u", password="päss")),
    ("redis://u:päss@h", BusUrl("h", username="u", password="päss")),
    ("redis://u:50%off@h", BusUrl("h", username="u", password="50%off")),
    ("redis://u:a%2525@h", BusUrl("h", username="u", password="a%25")),
    ("redis://u:a+b@h", BusUrl("h", username="u", password="a+b")),
    ("redis://u:a&b=c;d@h", BusUrl("h", username="u", password="a&b=c;d")),
    ("redis://h?username=u&password=a%26b", BusUrl("h", username="u", password="a&b")),
    ("redis://h?password=a+b", BusUrl("h", password="a b")),
    ("redis://u:p@h?username=x&password=y", BusUrl("h", username="u", password="p")),
    ("redis://h?client_name=risk-1", BusUrl("h", client_name="risk-1")),
    ("redis://h?x", PLAIN),
    ("redis://h?", PLAIN),
    ("redis://h?db=1&db=2", BusUrl("h", db=1)),
    ("unix:///run/redis.sock", BusUrl(path="/run/redis.sock")),
    ("unix:///run/redis.sock?db=1", BusUrl(path="/run/redis.sock", db=1)),
    ("unix:///run/a%20b/r%40s.sock", BusUrl(path="/run/a b/r@s.sock")),
    ("unix:///run/r@1.sock", BusUrl(path="/run/r@1.sock")),
    ("unix://u:p@/run/r.sock", BusUrl(path="/run/r.sock", username="u", password="p")),
    ("unix:///r.sock?password=p", BusUrl(path="/r.sock", password="p")),
    ("rediss://h", BusUrl("h", tls=Tls())),
    (
        "rediss://example.internal:6380?ssl_ca_certs=/etc/ca.pem",
        BusUrl("example.internal", 6380, tls=Tls(ca_certs="/etc/ca.pem")),
    ),
    (
        "rediss://h?ssl_cert_reqs=none&ssl_check_hostname=False",
        BusUrl("h", tls=Tls("none", check_hostname=False)),
    ),
    ("rediss://h?ssl_check_hostname=yes", BusUrl("h", tls=Tls())),
    (
        "rediss://h?ssl_certfile=/c&ssl_keyfile=/k&ssl_password=w&ssl_ca_path=/ca",
        BusUrl("h", tls=Tls(certfile="/c", keyfile="/k", password="w", ca_path="/ca")),
    ),
    ("rediss://h?ssl_min_version=772", BusUrl("h", tls=Tls(min_version=772))),
    ("rediss://h?ssl_ciphers=HIGH", BusUrl("h", tls=Tls(ciphers="HIGH"))),
    (
        "rediss://h?ssl_include_verify_flags=[VERIFY_X509_STRICT,%20VERIFY_CRL_CHECK_LEAF]",
        BusUrl("h", tls=Tls(include_verify_flags=("VERIFY_X509_STRICT", "VERIFY_CRL_CHECK_LEAF"))),
    ),
    (
        "rediss://h?ssl_exclude_verify_flags=VERIFY_X509_STRICT",
        BusUrl("h", tls=Tls(exclude_verify_flags=("VERIFY_X509_STRICT",))),
    ),
]

REFUSED = [
    ("", "expected a URL such as redis://user:password@host:6379/0"),
    ("embedded", "expected a URL such as"),
    ("localhost:6379", "write redis://localhost:6379"),
    ("10.0.0.7:6380/2", "write redis://10.0.0.7:6380/2"),
    ("[::1]:6379", r"write redis://\[::1\]:6379"),
    ("//h:6379", "expected a URL such as"),
    ("redis:h", "expected a URL such as"),
    ("http://h", r"expected redis://…, rediss://… \(TLS\) or unix://…"),
    ("redis+sentinel://:x@s1:26379,s2:26379/mymaster/0", r"^redis\+sentinel:// .* Sentinel"),
    ("redis-sentinel://h", "name the server itself"),
    ("redis+cluster://h", "clusters are not supported"),
    ("redis+socket:///run/r.sock", "write unix:///"),
    ("valkey://h", "write redis://"),
    ("valkeys://h", "write rediss://"),
    ("redis://a,b:6379", "one host"),
    ("redis://a:1,b:2", "expected a port from 1 to 65535"),
    ("redis://h:notaport", "expected a port from 1 to 65535"),
    ("redis://h:0", "expected a port"),
    ("redis://h:65536", "expected a port"),
    ("redis://h:-1", "expected a port"),
    ("redis://h:٦٣٧٩", "expected a port"),
    ("redis://::1:6379", "an IPv6 address is written in brackets"),
    ("redis://[::1", "in brackets"),
    ("redis://[::1]x:1", "in brackets"),
    ("redis://[::g]", "expected an IPv6 address in the brackets"),
    ("redis://h%20x", "one host"),
    ("redis://u:p[@h:x", "expected a port"),
    ("redis://h/abc", "expected the number of a database"),
    ("redis://h/0/1", "expected the number of a database"),
    ("redis://h/-1", "expected the number of a database"),
    ("redis://u:1/2@h", "^an @ after the host"),
    ("redis://u:p@h/1@x", "^an @ after the host"),
    ("redis://h?password=a@b", "^an @ after the host"),
    ("redis://h?db=x", "^db: expected the number"),
    ("redis://h?db=-1", "^db: expected the number"),
    ("redis://h?db=1_0", "^db: expected the number"),
    ("redis://h?max_connections=2", "^max_connections: .* stop"),
    ("redis://h?client_name=a%20b", "^client_name: "),
    ("redis://h?client_name=%C3%A4", "^client_name: "),
    ("redis://h?tls=true", "^tls: write rediss://"),
    ("redis://h?ssl=true", "^ssl: write rediss://"),
    ("redis://h?ssl_ca_certs=/ca", "^ssl_ca_certs: only rediss:// speaks TLS"),
    ("unix:///r.sock?ssl_cert_reqs=none", "^ssl_cert_reqs: only rediss://"),
    ("rediss://h?ssl_cert_reqs=maybe", "^ssl_cert_reqs: expected one of none, optional, required"),
    ("rediss://h?ssl_check_hostname=off", "^ssl_check_hostname: expected one of"),
    ("rediss://h?ssl_min_version=1.2", "^ssl_min_version: expected one of 769"),
    ("rediss://h?ssl_include_verify_flags=X", "^ssl_include_verify_flags: expected names"),
    ("rediss://h?ssl_keyfile=/k", "^ssl_keyfile: expected ssl_certfile"),
    ("rediss://h?ssl_validate_ocsp=false", "^ssl_validate_ocsp: OCSP"),
    ("redis://h?keyPrefix=x", "^keyPrefix: "),
    ("redis://h?foo=bar", "^foo: an option that"),
    ("redis://h?%ff=1", "not percent-encoded UTF-8"),
    ("redis://u:%ff@h", "^the password is not percent-encoded UTF-8"),
    ("unix://run/redis.sock", "expected the whole path of a socket"),
    ("unix://", "expected the whole path of a socket"),
    ("unix:///run%00x", "without NUL"),
    (" redis://h", "expected no spaces"),
    ("redis://h\n", "expected no spaces, line breaks"),
    ("redis://u:p w@h", "expected no spaces"),
]

# Each holds "hun" and "ter2", which are parts of a password.
LEAKY = [
    "redis://u:hun@ter2@h",
    "redis://u:hun@ter2@h:notaport",
    "redis://u:hun/ter2@h",
    "redis://u:hun?ter2@h",
    "redis://u:hun?ter2=1@h",
    "redis://u:hun#ter2@h",
    "redis://u:1#hunter2@h",
    "redis://u:hun ter2@h",
    "redis://u:hun%ffter2@h",
    "redis://u:hunter2",
    "redis://u:hunter2@h:x",
    "redis://u:hunter2@h/x",
    "redis://u:hunter2@h?db=x",
    "redis://u:hunter2@a,b",
    "redis://u:hunter2@[x]",
    "redis://u:[hunter2",
    "redis://h?password=hun&ter2=1",
    "redis://h?password=hun%ffter2",
    "rediss://h?ssl_password=hun&ter2=1",
    "redis://h?hunter2%20x=1",
    "unix://u:hun/ter2@/run/x",
    "unix://u:hunter2@x/run/x",
    "redis+sentinel://:hunter2@s1,s2/m",
    "http://u:hunter2@h",
    "u:hunter2@h:6379",
    "hunter2",
    "hunter2://h",
]


@pytest.mark.parametrize(("url", "expected"), ACCEPTED)
def test_a_url_is_read(url: str, expected: BusUrl) -> None:
    assert read_bus_url(url) == expected


@pytest.mark.parametrize(("url", "text"), REFUSED)
def test_a_url_is_refused_with_what_to_write(url: str, text: str) -> None:
    with pytest.raises(BadBusUrl, match=text):
        read_bus_url(url)


@pytest.mark.parametrize("url", LEAKY)
def test_a_refusal_repeats_no_part_of_a_secret(url: str) -> None:
    with pytest.raises(BadBusUrl) as caught:
        read_bus_url(url)

    error: BaseException | None = caught.value
    assert error is not None
    assert error.__cause__ is None
    for part in ("hun", "ter2"):
        assert part not in str(error)


@pytest.mark.parametrize(
    "url", ["redis://u:p@ss@h", "redis://u:p/s@h", "redis://u:p?s@h", "redis://u:p#s@h"]
)
def test_a_password_that_is_not_encoded_is_explained(url: str) -> None:
    with pytest.raises(BadBusUrl, match=r"write @ as %40, : as %3A, / as %2F, [?] as %3F"):
        read_bus_url(url)


@pytest.mark.parametrize("name", sorted(IGNORED))
def test_an_option_that_changes_nothing_is_ignored_by_name(name: str) -> None:
    read = read_bus_url(f"redis://h/2?{name}=4&db=3")

    assert read == BusUrl("h", db=3, ignored=(name,))


def flattened(kwargs: dict[str, Any]) -> dict[str, Any]:
    """What redis-py's connection is made with, its defaults written out."""
    usual = {"db": 0, "connection_class": Connection}
    given = {name: value for name, value in kwargs.items() if value is not None}
    if given.get("connection_class") is not UnixDomainSocketConnection:
        usual |= {"host": "localhost", "port": 6379}
    if given.get("connection_class") is SSLConnection:
        usual |= {"ssl_cert_reqs": "required", "ssl_check_hostname": True}
    return usual | given


def made(kwargs: dict[str, Any]) -> dict[str, Any]:
    """What a client makes its connections of."""
    with redis.Redis(**kwargs) as client:
        pool = client.connection_pool
        found = flattened(pool.connection_kwargs | {"connection_class": pool.connection_class})
        return {name: found[name] for name in found if name in NAMES}


NAMES = {
    "host", "port", "path", "db", "username", "password", "client_name", "connection_class",
    "ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile", "ssl_password", "ssl_ciphers",
    "ssl_cert_reqs", "ssl_check_hostname", "ssl_min_version",
    "ssl_include_verify_flags", "ssl_exclude_verify_flags",
}  # fmt: skip


@pytest.mark.parametrize("url", [url for url, _ in ACCEPTED])
def test_redis_py_reads_it_alike(url: str) -> None:
    theirs = flattened(parse_url(url))

    assert made(read_bus_url(url).client_options()) == theirs


text = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


@given(user=text, word=text, port=st.integers(1, 65535), db=st.integers(0, 99))
def test_what_is_percent_encoded_comes_back(user: str, word: str, port: int, db: int) -> None:
    url = f"redis://{quote(user, '')}:{quote(word, '')}@h:{port}/{db}"

    read = read_bus_url(url)

    assert read == BusUrl("h", port, db=db, username=user or None, password=word or None)
    assert made(read.client_options()) == flattened(parse_url(url))


@given(st.text(max_size=60))
def test_whatever_is_given_is_read_or_refused(rest: str) -> None:
    for url in (rest, f"redis://{rest}", f"rediss://h?{rest}", f"unix://{rest}"):
        with contextlib.suppress(BadBusUrl):
            assert read_bus_url(url).db >= 0


@pytest.mark.parametrize(
    ("url", "auth"),
    [
        ("redis://h", ()),
        ("redis://:p@h", ("p",)),
        ("redis://u@h", ("u", "")),
        ("redis://u:p@h", ("u", "p")),
    ],
)
def test_who_logs_in_says_so_as_redis_py_does(url: str, auth: tuple[str, ...]) -> None:
    assert read_bus_url(url).auth == auth


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://u:secret@h:1/2", "redis://h:1/2"),
        ("rediss://u:secret@[::1]?ssl_password=secret", "rediss://[::1]:6379/0"),
        ("unix://u:secret@/run/r.sock?db=1", "unix:///run/r.sock?db=1"),
    ],
)
def test_neither_the_place_nor_the_repr_holds_a_secret(url: str, place: str) -> None:
    read = read_bus_url(url)

    assert read.place == place
    assert "secret" not in repr(read)


@pytest.mark.parametrize("module", [bus_url, bus_options])
def test_it_needs_the_standard_library_alone(module: Any) -> None:
    tree = ast.parse(Path(module.__file__).read_text())

    found = {
        name
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom) and not node.level
            else []
        )
    }

    assert {name.split(".")[0] for name in found} <= sys.stdlib_module_names
