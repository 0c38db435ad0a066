"""Ports for servers that the tests start."""

import random
import socket


def free_port() -> int:
    """A port of loopback that was free a moment ago, and that no connection is given as its own.

    While a server is dead nobody else must get its port: neither another server, nor whoever dials
    some other one, for as long as that lasts.
    """
    for port in random.SystemRandom().sample(range(20_000, 32_000), 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")
