"""The socket below a connection of redis-py, which has no public way to it.

redis-py's own parsers would hold all of a large reply; ours read the socket themselves. What they
rely on is here, and held by this module's tests; setup.cfg bounds redis-py's version for it.
"""

from socket import socket as Socket  # noqa: N812 a class
from typing import Any


def socket_of(connection: Any) -> Socket:
    """The socket of ``connection``, which is connected; closed with it.

    Raises:
        AttributeError: redis-py keeps it elsewhere.
    """
    found: Socket = connection._sock  # noqa: SLF001 see above
    return found
