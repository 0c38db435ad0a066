"""What two programs could read in two ways: refused once, and the connection closed."""

import json
import socket
import time

import pytest

from .conftest import Served, answered, exchange, statuses

HOST = b"Host: localhost\r\n"
# Behind each request stands another; whoever sees its answer has had it smuggled.
SMUGGLED = b"GET /health HTTP/1.1\r\n" + HOST + b"\r\n"
POST = b"POST /bus/events HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
GET = b"GET /health HTTP/1.1\r\n" + HOST
BODY = b'{"type":"strategy.smuggled","payload":{}}'

MALFORMED = {
    "two lengths": POST + b"Content-Length: 41\r\nContent-Length: 0\r\n\r\n" + BODY,
    "the same length twice": POST + b"Content-Length: 41\r\nContent-Length: 41\r\n\r\n" + BODY,
    "a list of lengths": POST + b"Content-Length: 41, 41\r\n\r\n" + BODY,
    "a length with a sign": POST + b"Content-Length: +2\r\n\r\n{}",
    "a negative length": POST + b"Content-Length: -1\r\n\r\n{}",
    "a length in hex": POST + b"Content-Length: 0x2\r\n\r\n{}",
    "a length with an underscore": POST + b"Content-Length: 4_1\r\n\r\n" + BODY,
    "a length of letters": POST + b"Content-Length: two\r\n\r\n{}",
    "an empty length": POST + b"Content-Length: \r\n\r\n{}",
    "a length of other digits": POST + "Content-Length: ²\r\n\r\n{}".encode("latin-1"),
    "a length and a coding": POST
    + b"Content-Length: 41\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a coding and a length": POST
    + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "an unknown coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "two codings": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "two lines of coding": POST
    + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "identity": POST + b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "a coding with a vertical tab": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "a blank before the colon": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a coding in HTTP/1.0": POST.replace(b"1.1", b"1.0")
    + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/0.9": b"GET /health\r\n",
    "HTTP/0.9 with headers": b"GET /health\r\n" + HOST + b"\r\n",
    "HTTP/2.0": b"GET /health HTTP/2.0\r\n" + HOST + b"\r\n",
    "HTTP/1.2": b"GET /health HTTP/1.2\r\n" + HOST + b"\r\n",
    "a small protocol": b"GET /health http/1.1\r\n" + HOST + b"\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a bare LF after the first line": b"GET /health HTTP/1.1\n" + HOST + b"\r\n",
    "a bare LF after a header": b"GET /health HTTP/1.1\r\nHost: localhost\n\r\n",
    "a bare LF at the end": GET + b"\n",
    "a bare CR in a header": GET + b"X-A: b\rX-C: d\r\n\r\n",
    "a NUL in a header": GET + b"X-A: b\0c\r\n\r\n",
    "a folded header": GET + b"X-A: b\r\n c\r\n\r\n",
    "a folded first header": b"GET /health HTTP/1.1\r\n " + HOST + b"\r\n",
    "no Host": b"GET /health HTTP/1.1\r\n\r\n",
    "two Hosts": GET + b"Host: example.com\r\n\r\n",
    "a Host that is none": b"GET /health HTTP/1.1\r\nHost: a b/c\r\n\r\n",
    "a header without a colon": GET + b"nothing\r\n\r\n",
    "a header without a name": GET + b": x\r\n\r\n",
    "a name with a blank": GET + b"X A: b\r\n\r\n",
    "101 headers": GET + b"".join(b"X-%d: y\r\n" % n for n in range(100)) + b"\r\n",
    "over 16 kB of headers": GET + b"X-A: " + b"a" * 17_000 + b"\r\n\r\n",
    "over 16 kB in many": GET + b"".join(b"X-%d: %s\r\n" % (n, b"a" * 900) for n in range(20)),
    "a long first line": b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "an absolute target": b"GET http://localhost/health HTTP/1.1\r\n" + HOST + b"\r\n",
    "CONNECT": b"CONNECT example.com:443 HTTP/1.1\r\n" + HOST + b"\r\n",
    "two blanks": b"GET  /health HTTP/1.1\r\n" + HOST + b"\r\n",
    "a tab": b"GET\t/health\tHTTP/1.1\r\n" + HOST + b"\r\n",
    "four words": b"GET /health x HTTP/1.1\r\n" + HOST + b"\r\n",
    "a method that is none": b"G{T /health HTTP/1.1\r\n" + HOST + b"\r\n",
    "an empty line first": b"\r\n" + GET + b"\r\n",
    "nothing but blanks": b"   \r\n\r\n",
    "the hello of TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "two credentials": GET + b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n",
    "NBSP before a coding": POST + b"Transfer-Encoding:\xa0chunked\r\n\r\n0\r\n\r\n",
    "NEL after a coding": POST + b"Transfer-Encoding: chunked\x85\r\n\r\n0\r\n\r\n",
    "NBSP after a length": POST + b"Content-Length: 2\xa0\r\n\r\n{}",
    "NEL before a length": POST + b"Content-Length: \x852\r\n\r\n{}",
    "NBSP before a Host": b"GET /health HTTP/1.1\r\nHost: \xa0localhost\r\n\r\n",
    "NEL after an origin": GET + b"Origin: http://localhost\x85\r\n\r\n",
    "NBSP in a connection's options": GET + b"Connection: close\xa0\r\n\r\n",
    "a name after an address in brackets": b"GET /health HTTP/1.1\r\nHost: [::1]evil.com\r\n\r\n",
    "a port of letters": b"GET /health HTTP/1.1\r\nHost: localhost:80x\r\n\r\n",
    "a user in a Host": b"GET /health HTTP/1.1\r\nHost: me@localhost\r\n\r\n",
    "an unknown expectation": POST + b"Expect: 200-ok\r\nContent-Length: 41\r\n\r\n" + BODY,
}
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
BAD_CHUNKS = {
    "a size with a sign": b"+29\r\n" + BODY + b"\r\n0\r\n\r\n",
    "a size with 0x": b"0x29\r\n" + BODY + b"\r\n0\r\n\r\n",
    "no size": b"\r\n" + BODY + b"\r\n0\r\n\r\n",
    "a size of letters": b"zz\r\n" + BODY + b"\r\n0\r\n\r\n",
    "an endless size": b"f" * 40 + b"\r\n",
    "a chunk that is longer than said": b"5\r\n" + BODY + b"\r\n0\r\n\r\n",
    "a size that ends in a bare LF": b"29\n" + BODY + b"\r\n0\r\n\r\n",
    "an endless extension": b"29;" + b"a" * 20_000,
    "a bare LF in an extension": b"29;a=b\nc\r\n" + BODY + b"\r\n0\r\n\r\n",
    "a NUL in an extension": b"29;a=\0\r\n" + BODY + b"\r\n0\r\n\r\n",
    "8 bits in an extension": b"29;a=\xe9\r\n" + BODY + b"\r\n0\r\n\r\n",
    "a trailer without a colon": b"29\r\n" + BODY + b"\r\n0\r\nnothing\r\n\r\n",
}


@pytest.mark.parametrize("request_", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_can_be_read_in_two_ways_is_refused_once(served: Served, request_: bytes) -> None:
    received = exchange(served, request_ + SMUGGLED)

    (status,) = statuses(received)
    assert status in {400, 408, 413, 414, 431}
    assert b"Traceback" not in received
    assert b"uptime" not in received


@pytest.mark.parametrize("chunks", BAD_CHUNKS.values(), ids=BAD_CHUNKS.keys())
def test_chunks_that_are_none_end_the_connection(served: Served, chunks: bytes) -> None:
    received = exchange(served, CHUNKED + chunks + SMUGGLED, end=True)

    assert statuses(received) == [400]
    assert b"uptime" not in received


def test_a_refusal_looks_like_any_error(served: Served) -> None:
    head, _, body = exchange(served, MALFORMED["two lengths"]).partition(b"\r\n\r\n")

    assert set(json.loads(body)) == {"error", "message", "timestamp", "request_id"}
    assert b"Connection: close" in head
    assert json.loads(body)["request_id"].encode() in head


def test_chunked_json_works_and_the_connection_stays(served: Served) -> None:
    pieces = b"".join(b"%x\r\n%s\r\n" % (1, BODY[i : i + 1]) for i in range(len(BODY)))
    last = GET + b"Connection: close\r\n\r\n"

    received = exchange(served, CHUNKED + pieces + b"0\r\n\r\n" + last)

    assert statuses(received) == [201, 200]


def test_a_hundred_headers_are_taken(served: Served) -> None:
    fields = b"".join(b"X-%d: y\r\n" % n for n in range(98))

    assert statuses(exchange(served, GET + fields + b"Connection: close\r\n\r\n")) == [200]


def test_too_long_a_body_is_refused_before_it_is_read(served: Served) -> None:
    head = answered(served, POST + b"Content-Length: 2000000\r\n\r\n")

    assert statuses(head) == [413]
    assert b"Connection: close" in head


def test_a_client_that_sends_on_after_413_is_not_reset(served: Served) -> None:
    rest = b"x" * 2_000_000
    head = POST + b"Content-Length: 2000000\r\n\r\n"
    with socket.create_connection((served.host, served.port), timeout=10) as sock:
        sock.sendall(head + rest[:1000])
        received = sock.recv(65_536)
        for begin in range(1000, len(rest), 100_000):  # as a proxy forwards what it gets
            sock.sendall(rest[begin : begin + 100_000])
            time.sleep(0.001)
        sock.shutdown(socket.SHUT_WR)
        while piece := sock.recv(65_536):
            received += piece

    assert statuses(received) == [413]


def test_too_long_a_body_is_not_even_asked_for(served: Served) -> None:
    head = POST + b"Expect: 100-continue\r\nContent-Length: 2000000\r\n\r\n"

    assert statuses(answered(served, head)) == [413]


def test_too_long_a_chunked_body_is_refused_in_the_middle(served: Served) -> None:
    chunks = b"10000\r\n" + b" " * 65_536 + b"\r\n"

    received = exchange(served, CHUNKED + chunks * 20, end=True)

    assert statuses(received) == [413]


@pytest.mark.parametrize("size", [b"1000000000000", b"200000"])
def test_a_chunk_that_is_too_large_is_refused_by_its_size(served: Served, size: bytes) -> None:
    head = answered(served, CHUNKED + size + b"\r\n")  # and no byte of it

    assert statuses(head) == [413]
    assert b"Connection: close" in head


@pytest.mark.parametrize("coding", [b"gzip", b"br", b"identity, gzip"])
def test_an_encoded_body_is_refused_and_not_taken_for_json(served: Served, coding: bytes) -> None:
    head = POST + b"Content-Encoding: " + coding + b"\r\nContent-Length: 41\r\n\r\n" + BODY

    assert statuses(exchange(served, head, end=True)) == [415]


UPGRADE = HOST + (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


@pytest.mark.parametrize("method", [b"POST", b"HEAD", b"PUT", b"FOO"])
def test_only_a_get_becomes_a_websocket(served: Served, method: bytes) -> None:
    (status,) = statuses(
        exchange(served, method + b" /ws HTTP/1.1\r\n" + UPGRADE + b"\r\n", end=True)
    )

    assert 400 <= status < 500


@pytest.mark.parametrize(
    "body", [b"Content-Length: 2\r\n\r\n{}", b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"]
)
def test_a_websocket_begins_without_a_body(served: Served, body: bytes) -> None:
    received = exchange(served, b"GET /ws HTTP/1.1\r\n" + UPGRADE + body, end=True)

    assert statuses(received) == [400]


def test_nothing_was_stored_by_all_that(served: Served) -> None:
    for request_ in list(MALFORMED.values())[:10]:
        exchange(served, request_ + SMUGGLED)
    page = served.get("/bus/events?type=strategy.smuggled").json

    # The one of the chunked request that is well-formed.
    assert len(page["events"]) <= 1
