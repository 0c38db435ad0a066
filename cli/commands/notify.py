"""``notify test``."""

import secrets
from pathlib import Path

from ..errors import Failure
from ..local_settings import config_option, missing_extra, read_settings
from ..options import Invocation, noun, pass_invocation


@noun("notify", examples="orc notify test")
def notify_command() -> None:
    """Try the notifications of [notify]."""


@notify_command.command("test", examples="orc notify test -c /etc/orchestrator/supervisor.toml")
@config_option
@pass_invocation
def notify_test(invocation: Invocation, *, config: Path | None) -> None:
    """Send one notification of type notify.test by the settings, once, and say what came of it."""
    settings = read_settings(config)
    try:
        from ...actors.notifier.delivery import NotDelivered, deliver
        from ...actors.notifier.notifications import Notification
    except ModuleNotFoundError as error:
        raise missing_extra(error, "daemon") from error
    from ...protocol.timestamps import utc_now

    if not settings.notify.on:
        raise Failure(
            "no receiver is configured",
            code="not_configured",
            advice="set notify.url or notify.command",
        )
    test = Notification(
        id=f"test-{secrets.token_hex(8)}",
        type="notify.test",
        text=f"a test from {settings.instance.name}",
        ts=utc_now(),
    )
    about = {"instance": settings.instance.name, "env": settings.instance.env}
    try:
        deliver(test, settings.notify, about)
    except NotDelivered as error:
        raise Failure(
            "the notification was not delivered", code="not_delivered", cause=str(error)
        ) from error
    row = {"id": test.id, "status": "delivered"}
    invocation.screen.record("notified", row, lambda: [f"delivered: {test.id}"], "id")
