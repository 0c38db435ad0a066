"""An embedded server as a supervised child: when it dies it is restarted."""

from typing import Any, Final

from ...protocol.excerpt import excerpt
from ..actor import Actor
from ..errors import OrchestratorError
from .server import EmbeddedServer

CHECK_INTERVAL_S: Final = 0.5
"""How soon a dead server is noticed."""


class ServerDied(OrchestratorError):
    """An embedded server ended unexpectedly."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"the embedded {self.name} has died"


class ServerKeeper(Actor):
    """Starts ``server`` (or finds it running) and fails when it dies, so as to be restarted.

    Holds nothing but the handle. It does not stop the server: that is done when everything
    that needs it has ended.
    """

    def __init__(self, server: EmbeddedServer) -> None:
        super().__init__()
        self._server = server

    def on_start(self) -> None:
        """Start the server; does nothing if it runs.

        Raises:
            ServerStartFailed: It does not start.
        """
        self._server.start()
        self.every(CHECK_INTERVAL_S, self._check)

    def on_receive(self, message: Any) -> None:
        """This actor gets no messages."""
        self.log.warning("unexpected message", message=excerpt(message))

    def _check(self) -> None:
        if not self._server.alive():
            raise ServerDied(self.address.name)
