"""Fails when gevent's WSGI server or gevent-websocket's handler changes below what we build on."""

import inspect
from typing import Any

import pytest
from gevent.pywsgi import Input, WSGIServer, _InvalidClientInput
from orchestrator.http.edge.handler import Handler
from orchestrator.http.edge.wsgi import Body, OldMessage, WebSocketHandler

# Parameters of the methods that we replace, by name.
OF_HANDLER = {
    "_handle_client_error": ["ex"],
    "_sendall": ["data"],
    "finalize_headers": [],
    "get_environ": [],
    "handle_error": ["t", "v", "tb"],
    "handle_one_request": [],
    "log_error": ["msg", "args"],
    "log_request": [],
    "process_result": [],
    "read_request": ["raw_requestline"],
    "read_requestline": [],
    "run_websocket": [],
    "start_response": ["status", "headers", "exc_info"],
    "upgrade_connection": [],
    "upgrade_websocket": [],
}
OF_SERVER = {"handle": 2, "stop": 1, "update_environ": 0}

MAX_BYTES = 2**20


class Source:
    """A request's body on its way."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def read(self, size: int) -> bytes:
        piece, self.data = self.data[:size], self.data[size:]
        return piece


def own_methods(kind: type[Any]) -> set[str]:
    return {name for name, one in vars(kind).items() if inspect.isfunction(one)}


@pytest.mark.parametrize("name", OF_HANDLER)
def test_the_handlers_methods_that_ours_replaces_are_called_as_before(name: str) -> None:
    of_library = inspect.signature(getattr(WebSocketHandler, name))

    assert list(of_library.parameters)[1:] == OF_HANDLER[name]
    assert name in own_methods(Handler)


def test_all_methods_that_the_handler_replaces_are_listed_here() -> None:
    replaced = {name for name in own_methods(Handler) if hasattr(WebSocketHandler, name)}

    assert replaced - {"__init__"} == set(OF_HANDLER)


@pytest.mark.parametrize("name", OF_SERVER)
def test_the_servers_methods_that_ours_replaces_are_called_as_before(name: str) -> None:
    parameters = inspect.signature(getattr(WSGIServer, name)).parameters

    assert len([one for one in parameters if one != "self"]) == OF_SERVER[name]


def test_the_handler_calls_what_ours_replaces() -> None:
    source = inspect.getsource(inspect.getmodule(WebSocketHandler.__mro__[1]))  # type: ignore[arg-type] # a module

    for name in ("_sendall", "read_request", "read_requestline", "_handle_client_error"):
        assert f"self.{name}(" in source, name
    assert "_discard()" in source


def test_a_body_has_the_parts_that_ours_uses() -> None:
    parts = {"position", "chunked_input", "chunk_length", "content_length", "socket"}

    assert parts | {"_chunked_input_error"} <= set(Input.__slots__)


@pytest.mark.parametrize("unread", [0, 1, 100_000, 2 * MAX_BYTES - 1])
def test_a_little_that_is_left_of_a_body_is_discarded(unread: int) -> None:
    source = Source(b"x" * unread + b"next")
    body = Body.of(Input(source, unread), MAX_BYTES)

    body._discard()

    assert source.data == b"next"


def test_a_body_of_which_much_is_left_ends_the_connection() -> None:
    much = 2 * MAX_BYTES + 1
    body = Body.of(Input(Source(b"x" * much), much), MAX_BYTES)

    with pytest.raises(_InvalidClientInput):
        body._discard()


def test_headers_are_stored_as_the_handler_looks_for_them() -> None:
    headers = OldMessage()
    headers["X-A"] = "b"

    assert headers.get("x-a") == "b"
