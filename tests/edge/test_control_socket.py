"""The Unix socket: this account's way to the daemon when its port is beleaguered."""

import socket
import stat
from pathlib import Path

import pytest
from orchestrator.cli.client import Client, split_url
from orchestrator.cli.failures import BadUsage, Failure
from orchestrator.http.listening import CannotListen, ControlSocket

from .conftest import TOKENS, Serve, auth
from .test_slow import HEAD, sockets


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
