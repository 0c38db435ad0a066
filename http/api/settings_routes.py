"""``/runtime/settings``: which file the daemon reads, and to have it read again."""

from typing import Final

from ...protocol.timestamps import utc_now
from ..acts import Acts
from ..auth import Role, caller_in
from ..errors import Conflict
from ..reloads import Reload, Reloads
from ..requests import Call
from ..routes import Route
from .runtime_schemas import ReloadAnswer, SettingsAnswer

RELOAD_WAIT_S: Final = 8.0
"""Less than commands wait for an answer; an agent may take longer to stop."""


class SettingsRoutes:
    """The settings' file over REST.

    Args:
        reloads: Reads it.
        acts: Notes what operators do.
    """

    def __init__(self, reloads: Reloads, acts: Acts) -> None:
        self._reloads = reloads
        self._acts = acts

    @Route("GET", "/runtime/settings", {200: SettingsAnswer}, access=Role.OPERATOR)
    def settings(self, _call: Call) -> SettingsAnswer:
        """The settings' file, and what came of the most recent reload."""
        reloads = self._reloads
        return SettingsAnswer("ok", utc_now(), reloads.file, reloads.last)

    @Route(
        "POST",
        "/runtime/settings/reload",
        {202: ReloadAnswer},
        errors=(409,),
        audit="settings.reload",
    )
    def reload(self, call: Call) -> ReloadAnswer:
        """Read the settings again, as at SIGHUP.

        Answered when what can change has changed, or after 8 s with ``reload: null``: see
        ``/runtime/settings``. 409 if the settings are wrong: then nothing has changed.
        """
        by = caller_in(call.environ).name or "http"
        found = self._reloads.run(by, wait_s=RELOAD_WAIT_S)
        if found is not None and found.outcome == "refused":
            raise Conflict("; ".join(found.problems), error="The settings are wrong")
        self._acts.done(call, "settings.reload", detail=summary(found))
        return ReloadAnswer("accepted", utc_now(), found)


def summary(found: Reload | None) -> str:
    """In one line."""
    if found is None:
        return "continues"
    agents = found.agents
    parts = {
        "changed": found.changed,
        "at the next start": found.at_next_start,
        "started": agents.started,
        "stopped": agents.stopped,
        "restarted": agents.restarted,
        "problems": found.problems,
        "warnings": found.warnings,
    }
    said = [f"{name}: {', '.join(values)}" for name, values in parts.items() if values]
    return "; ".join(said) or "nothing has changed"
