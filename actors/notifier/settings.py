"""Section ``[notify]`` of supervisor.toml."""

import base64
import binascii
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from ...protocol.secret_files import read_secret

SECRET_PREFIX = "whsec_"  # noqa: S105 Standard Webhooks' own mark

KEY_BYTES = 24
"""The least that the standard allows."""

EVENTS = (
    "risk.killswitch",
    "risk.rule",
    "agent.offline",
    "agent.error",
    "bus.gap",
    "bus.dropped",
)
"""Types of events that are notified by default."""


def _check_url(url: str) -> str:
    if url and not url.startswith(("https://", "http://")):
        raise ValueError("expected https://… (or http://…)")
    return url


class NotifySettings(BaseModel):
    """Receivers and events; off without ``url`` and ``command``."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    url: Annotated[str, AfterValidator(_check_url)] = ""
    """Gets a POST for each notification."""
    secret: SecretStr = SecretStr("")
    """``whsec_`` and base64 of 24 bytes or more, by which each POST is signed."""
    secret_file: Path | None = None
    """A file that holds it, instead; read for each notification, so that it can be changed."""
    command: tuple[str, ...] = ()
    """Program and arguments; gets the notification as JSON on stdin."""
    events: tuple[str, ...] = EVENTS
    """Types of events."""
    store_lag_s: float = Field(default=60.0, ge=1)
    """``store.lag`` is notified when PostgreSQL is so far behind."""
    disk_free_bytes: int = Field(default=1024**3, ge=0)
    """``disk.low`` is notified when the data directory's disk has less."""
    interval_s: float = Field(default=30.0, ge=0)
    """Of one type but the stop's, one notification within this time; it counts the others."""
    timeout_s: float = Field(default=10.0, ge=0.1, le=120)
    """Limit of one attempt."""
    attempts: int = Field(default=8, ge=1, le=20)
    """Before a notification is given up; the delays double from a second to five minutes."""

    @model_validator(mode="after")
    def _check_secret(self) -> Self:
        if self.secret.get_secret_value() and self.secret_file:
            raise ValueError("secret and secret_file are both given: one of them")
        if self.url and not (self.secret.get_secret_value() or self.secret_file):
            raise ValueError("url needs secret or secret_file: a receiver must know who sends")
        if self.secret.get_secret_value():
            signing_key(self.secret.get_secret_value())
        return self

    @property
    def on(self) -> bool:
        """Whether there is a receiver."""
        return bool(self.url or self.command)

    def key(self) -> bytes:
        """The key to sign with; read from its file each time, so that it can be changed.

        Raises:
            ValueError: It is no secret, or its file cannot be read.
        """
        text = self.secret.get_secret_value()
        if self.secret_file is not None:
            text = read_secret(self.secret_file).text.strip()
        return signing_key(text)


def signing_key(secret: str) -> bytes:
    """The bytes of a ``whsec_…``.

    Raises:
        ValueError: It is none, or too short to be safe.
    """
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError("expected whsec_ and base64") from error
    if not secret.startswith(SECRET_PREFIX) or len(key) < KEY_BYTES:
        raise ValueError("expected whsec_ and base64 of 24 bytes or more")
    return key
