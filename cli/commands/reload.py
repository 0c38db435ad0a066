"""``reload``: the daemon reads its settings again."""

from collections.abc import Mapping
from typing import Any

from ...protocol.printable import printable
from ..client.rest import Client
from ..errors import ExitCode
from ..options import Invocation, command, pass_invocation
from ..output import Screen


@command(
    "reload",
    examples="""
        orc reload
        orc reload -o json | jq .reload.at_next_start
    """,
)
@pass_invocation
def reload_command(invocation: Invocation) -> int:
    """Have the daemon read its settings again, as at SIGHUP, and say what came of it.

    What takes effect at the next start only is named. A fault in the settings changes nothing
    (exit code 1); exit code 7: some of what should have changed could not.
    """
    screen = invocation.screen
    with Client.of(invocation) as client:
        file = client.get("/runtime/settings").get("file")
        answer = client.post("/runtime/settings/reload")
    found: Mapping[str, Any] = answer.get("reload") or {}
    row = {"file": file, "reload": answer.get("reload")}
    screen.record("reload", row, lambda: _lines(file, found, screen), "file")
    if not found:
        screen.note("the daemon is still at it: see `orchestrator agent ls`, or its log")
    return ExitCode.PARTIAL if found.get("outcome") == "in_part" else ExitCode.DONE


def _lines(file: str | None, found: Mapping[str, Any], screen: Screen) -> list[str]:
    agents = found.get("agents") or {}
    said = {
        "IN FORCE": found.get("changed"),
        "AT THE NEXT START": found.get("at_next_start"),
        **{f"AGENTS {word.upper()}": agents.get(word) for word in _AGENTS},
        "PROBLEM": found.get("problems"),
    }
    looks = {"WARNING": found.get("warnings")}
    pairs = [
        (label, printable(", ".join(map(str, values or ()))))
        for label, values in {**said, **looks}.items()
    ]
    nothing = "nothing" if found and not any(said.values()) else ""
    read = printable(file or "no file, the environment only")
    return screen.facts([("READ", read), *pairs, ("CHANGED", nothing)])


_AGENTS = ("started", "stopped", "restarted")
