"""One attempt to deliver: a signed POST, or a command.

Signed as Standard Webhooks 1.0.0 has it (https://www.standardwebhooks.com): HMAC-SHA256 over
``id.timestamp.body``, in ``webhook-signature: v1,<base64>``.
"""

import base64
import hashlib
import hmac
import http.client
import time
from typing import Final

import msgspec
from gevent import subprocess

from ...runtime import OrchestratorError, deadline
from ..http_client import post
from .notifications import Notification
from .settings import NotifySettings

_GOOD, _REFUSED = 2, 4
_AGAIN: Final = (408, 425, 429)
"""Refusals that pass; other 4xx mean that the receiver will never take it."""


class NotDelivered(OrchestratorError):
    """An attempt failed.

    Args:
        reason: Why; holds neither URL nor secret.
        lasting: Whether another attempt is of no use.
    """

    def __init__(self, reason: str, *, lasting: bool = False) -> None:
        super().__init__(reason)
        self.lasting = lasting


class _TooSlow(OrchestratorError):
    """The receiver does not answer in time."""


def deliver(notification: Notification, settings: NotifySettings, about: dict[str, str]) -> None:
    """Deliver by webhook and by command, where set; blocks the caller's greenlet only.

    Args:
        notification: What.
        settings: To whom.
        about: The instance's name and environment, added to the body.

    Raises:
        NotDelivered: One of them failed.
    """
    body = msgspec.json.encode(msgspec.structs.asdict(notification) | about)
    try:
        with deadline(settings.timeout_s, _TooSlow(f"no answer within {settings.timeout_s:g} s")):
            if settings.url:
                _post(notification.id, body, settings)
            if settings.command:
                _run(body, settings.command)
    except (OSError, http.client.HTTPException, ValueError, _TooSlow) as error:
        raise NotDelivered(str(error) or type(error).__name__) from error


def signature(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    """The value of ``webhook-signature``."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def _post(message_id: str, body: bytes, settings: NotifySettings) -> None:
    timestamp = str(int(time.time()))
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "orchestrator",
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": signature(settings.key(), message_id, timestamp, body),
    }
    status = post(settings.url, body, headers, timeout_s=settings.timeout_s)
    if status // 100 != _GOOD:
        lasting = status // 100 == _REFUSED and status not in _AGAIN
        raise NotDelivered(f"the receiver answered {status}", lasting=lasting)


def _run(body: bytes, command: tuple[str, ...]) -> None:
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        process.communicate(body)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if process.returncode:
        raise NotDelivered(f"{command[0]} ended with {process.returncode}")
