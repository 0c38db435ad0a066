"""What we rely on in redis-py's connection: fails when a new version keeps it elsewhere."""

import pytest
from orchestrator.actors.redis_listener.raw_socket import socket_of
from orchestrator.actors.redis_listener.reconnect import connection_pool

pytestmark = pytest.mark.redis


def test_a_reply_is_read_from_the_socket_and_not_by_redis_py(redis_url: str) -> None:
    connection = connection_pool(redis_url, 2.0).make_connection()
    connection.connect()
    socket = socket_of(connection)

    connection.send_command("ECHO", "raw", check_health=False)

    received = b""
    while not received.endswith(b"raw\r\n"):
        piece = socket.recv(64)
        assert piece, "closed"
        received += piece
    assert received == b"$3\r\nraw\r\n"
    connection.send_command("PING", check_health=False)
    assert connection.read_response() == b"PONG", "redis-py read ahead"
    connection.disconnect()


def test_the_socket_is_closed_with_the_connection(redis_url: str) -> None:
    connection = connection_pool(redis_url, 2.0).make_connection()
    connection.connect()
    socket = socket_of(connection)

    connection.disconnect()

    assert socket.fileno() == -1
