"""The Unix socket: this account's way to the daemon when its port is beleaguered."""

import socket
import stat
from contextlib import ExitStack
from pathlib import Path

import pytest
from orchestrator.cli.client.event_stream import Feed, Link, LinkLost, Start
from orchestrator.cli.client.rest import Client, split_url, unix_socket
from orchestrator.cli.errors import BadUsage, Failure
from orchestrator.cli.filters import Filter
from orchestrator.http.edge.listener import CannotListen, ControlSocket

from .conftest import TOKENS, Serve, auth
from .test_reloading import use
from .test_slow import HEAD, is_open, sockets


def test_commands_reach_the_daemon_while_all_places_on_the_port_are_taken(
    serve: Serve, server_folder: Path
) -> None:
    path = server_folder / "control-a.sock"
    served = serve(http={"max_connections": 20, "control_socket": str(path)})
    with sockets(served, 40, HEAD), Client(f"unix://{path}", timeout_s=20) as client:
        assert client.get("/health")["status"] == "ok"
        stopped = client.post("/risk/killswitch", {"reason": "drill"})

    assert stopped["status"] == "activated"
    assert client.get("/risk/killswitch")["triggered_by"] == "http:unix"
    client.close()


def test_only_this_account_may_use_it_and_tokens_hold_there_too(
    serve: Serve, server_folder: Path
) -> None:
    path = server_folder / "control-b.sock"
    serve(http=auth(control_socket=str(path)), token=TOKENS["operator"])

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with Client(f"unix://{path}", timeout_s=20) as stranger, pytest.raises(Failure):
        stranger.get("/state")
    with Client(f"unix://{path}", token=TOKENS["viewer"], timeout_s=20) as viewer:
        assert "state" in viewer.get("/state")


def test_events_come_over_it_while_all_places_on_the_port_are_taken(
    serve: Serve, server_folder: Path
) -> None:
    path = server_folder / "control-d.sock"
    served = serve(
        http=auth(max_connections=20, control_socket=str(path)), token=TOKENS["operator"]
    )
    first_id = served.stored("strategy.first")
    with (
        sockets(served, 40, HEAD),
        Client(f"unix://{path}", token=TOKENS["viewer"], timeout_s=20) as client,
    ):
        feed = Feed(client, Filter(("strategy.*",)), timeout_s=20, note=print, on_stop=print)
        events = feed.events(Start(last=1))
        assert next(events)["id"] == first_id
        second_id = served.stored("strategy.second")

        assert next(events)["id"] == second_id
        feed.close()


def test_a_revoked_token_loses_its_stream_there_too(serve: Serve, server_folder: Path) -> None:
    path = server_folder / "control-e.sock"
    served = serve(http=auth(control_socket=str(path)), token=TOKENS["operator"])
    client = Client(f"unix://{path}", token=TOKENS["viewer"], timeout_s=20)
    link = Link(client, Filter(), 20)
    use(served, "operator")

    with pytest.raises(LinkLost, match="1008"):
        read_all(link)
    link.close()


def read_all(link: Link) -> None:
    while True:
        link.frame(20)


def test_its_own_places_are_counted_apart(serve: Serve, server_folder: Path) -> None:
    path = server_folder / "control-f.sock"
    served = serve(http={"control_socket": str(path)})
    control = served.listening.control
    assert control is not None
    with ExitStack() as stack:
        opened = [stack.enter_context(unix_socket(str(path), 20)) for _ in range(40)]
        served.wait_until(lambda: control.connections.cut >= 40 - control.connections.total)

        with Client(f"unix://{path}", timeout_s=20) as client:
            assert client.get("/health")["status"] == "ok"
        assert not is_open(opened[0])
        assert is_open(opened[-1])
        assert served.listening.connections.cut == 0
        assert served.get("/health").status == 200


def test_a_socket_left_behind_is_replaced_and_one_in_use_is_not(server_folder: Path) -> None:
    path = server_folder / "control-c.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    control = ControlSocket(str(path))
    with pytest.raises(CannotListen, match="another daemon"):
        ControlSocket(str(path))
    control.close()

    assert not path.exists()


def test_what_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")

    with pytest.raises(CannotListen):
        ControlSocket(str(path))
    assert path.read_text() == "data"


@pytest.mark.parametrize("url", ["unix://", "unix://host/path"])
def test_a_url_without_a_path_is_none(url: str) -> None:
    with pytest.raises(BadUsage):
        split_url(url)
