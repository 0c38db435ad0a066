import socket
import time

import gevent
import pytest
from orchestrator.http.edge.listener import CannotListen, ListeningSocket
from orchestrator.http.server import GetHttpStatus
from orchestrator.http.settings import HttpSettings

from .conftest import Serve, frame_where


def test_a_port_that_is_taken_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        with pytest.raises(CannotListen) as caught:
            ListeningSocket(HttpSettings(port=port))

    text = str(caught.value)
    assert f"port {port} on 127.0.0.1 is taken" in text
    assert f"PORT={port + 1}" in text
    assert "\n" not in text


def test_an_address_of_another_machine_is_one_clear_line() -> None:
    with pytest.raises(CannotListen, match=r"192\.0\.2\.1 is not an address of this machine"):
        ListeningSocket(HttpSettings(host="192.0.2.1", port=0, insecure=True))


@pytest.mark.parametrize("host", ["10.0.0.1", "::", "desk.example.com"])
def test_off_loopback_it_listens_only_if_told_so(host: str) -> None:
    with pytest.raises(CannotListen, match=r"http\.insecure = true"):
        ListeningSocket(HttpSettings(host=host))


def test_the_url_is_where_it_is_reached() -> None:
    listening = ListeningSocket(HttpSettings(port=0))
    try:
        host, port = listening.address
        assert listening.url == f"http://{host}:{port}"
    finally:
        listening.close()


def test_it_tells_how_it_stands(serve: Serve) -> None:
    served = serve()

    with served.socket():
        status = served.daemon._to.http.ask(GetHttpStatus(), timeout_s=5)

    assert status.url == served.listening.url
    assert status.connections >= 1
    assert status.websocket_clients == 1


def test_a_failed_server_is_back_and_open_connections_never_noticed(serve: Serve) -> None:
    served = serve()
    with served.socket("/?types=strategy.*") as client:
        served.daemon._to.http.tell(object())  # nothing that it knows
        served.wait_until(
            lambda: "http" in served.get("/bus/events?type=runtime.actor_restarted").body.decode()
        )
        served.stored("strategy.after")

        assert frame_where(client, eventType="strategy.after")


def test_what_is_open_outlives_the_failed_server_for_good(serve: Serve) -> None:
    served = serve()
    with served.socket("/?types=strategy.*") as client:
        served.daemon._to.http.tell(object())
        end = time.monotonic() + 1.5  # gevent's own servers cut what is open after a second
        while time.monotonic() < end:
            client.send('{"action":"ping"}')
            frame_where(client, type="pong")
            gevent.sleep(0.05)


def test_a_failed_broadcaster_is_back_and_clients_never_noticed(serve: Serve) -> None:
    served = serve()
    with served.socket("/?types=strategy.*,runtime.*") as client:
        served.daemon._to.broadcaster.tell(object())
        restarted = frame_where(client, eventType="runtime.actor_restarted")
        assert restarted["data"]["actor"] == "broadcaster"
        served.stored("strategy.after")

        assert frame_where(client, eventType="strategy.after")


def test_a_request_under_way_is_finished_at_a_restart(serve: Serve) -> None:
    served = serve()
    request = (
        b"POST /bus/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 40\r\n\r\n"
    )
    with socket.create_connection((served.host, served.port), timeout=10) as sock:
        sock.sendall(request)
        served.wait_until(
            lambda: served.daemon._to.http.ask(GetHttpStatus(), timeout_s=5).active_requests
        )
        served.post("/runtime/actors/http/restart")
        gevent.sleep(0.1)
        sock.sendall(b'{"type":"strategy.finished","payload":1}')

        assert sock.recv(100).startswith(b"HTTP/1.1 201")
