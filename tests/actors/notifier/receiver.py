"""A webhook's receiver: a real HTTP server that answers as a test wants it to."""

import base64
import hashlib
import hmac
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

KEY = b"k" * 32
SECRET = "whsec_" + base64.b64encode(KEY).decode()


class Receiver(http.server.ThreadingHTTPServer):
    """Keeps what was posted with a good signature, by its own reading of the standard."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[int] = []
        """Statuses of the next answers; 204 once there are none left."""
        self.hangs = threading.Event()
        """Set: nothing is answered."""
        self.got: list[dict[str, Any]] = []
        self.forged = 0
        self.ids: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook?team=desk"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        message_id, at = self.headers["webhook-id"], self.headers["webhook-timestamp"]
        digest = hmac.new(KEY, f"{message_id}.{at}.".encode() + body, hashlib.sha256).digest()
        good = f"v1,{base64.b64encode(digest).decode()}" == self.headers["webhook-signature"]
        self.server.forged += not good
        self.server.ids.append(message_id)
        if self.server.hangs.is_set():
            while self.server.hangs.is_set():
                threading.Event().wait(0.05)
            return
        status = self.server.answers.pop(0) if self.server.answers else 204
        if good and status == 204 and self.path == "/hook?team=desk":
            self.server.got.append(json.loads(body))
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Silent."""


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver for the duration of the block."""
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.hangs.clear()
            server.shutdown()
            thread.join()
