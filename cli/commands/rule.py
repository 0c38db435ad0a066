"""``rule ls``: the rules that stop by themselves."""

from ...protocol.printable import printable
from ..client.rest import Client
from ..options import Invocation, noun, pass_invocation
from ..output import Column, Row

RULE_COLUMNS = (
    Column("NAME", "name"),
    Column("KIND", "kind"),
    Column("LIMIT", "limit"),
    Column("STOPS", "stops"),
    Column("READING", "reading", shrinks=True),
    Column("VIOLATIONS", "violations", right=True),
    Column("LAST", "last_at", lambda row, screen: screen.moment(row.get("last_at"))),
    Column("TRIPS", "trips"),
    Column("WHY", "reason", shrinks=True),
)


@noun("rule", examples="orc rule ls")
def rule_command() -> None:
    """See the rules that stop by themselves."""


@rule_command.command("ls", examples="orc rule ls")
@pass_invocation
def rule_ls(invocation: Invocation) -> None:
    """List the rules of the settings, what they stop, and what they found since the start."""
    with Client.of(invocation) as client:
        rules = client.get("/rules")["rules"]
    invocation.screen.records("rules", [_row(rule) for rule in rules], RULE_COLUMNS, "name")


def _row(rule: Row) -> Row:
    settings, last = rule["settings"], rule["last"] or {}
    stops = f"{settings['level']} {settings['scope']}"
    return {
        "name": rule["name"],
        "kind": settings["kind"],
        "limit": _limit(settings),
        "stops": printable(f"nothing (dry run), else {stops}" if settings["dry_run"] else stops),
        "reading": _reading(rule.get("reading"), settings),
        "violations": rule["violations"],
        "last_at": last.get("timestamp"),
        "trips": " ".join(rule["trips"]),
        "reason": last.get("reason"),
    }


def _limit(settings: Row) -> str:
    per, window = settings["per"], f"{settings['window_s']:g} s"
    match settings["kind"]:
        case "silence":
            return f"{settings['silent_s']:g} s of silence per {per}"
        case "errors" if settings["max_share"] is None:
            return f"{settings['max_errors']} errors per {per} in {window}"
        case "errors":
            return f"{settings['max_share'] * 100:g} % errors per {per} in {window}"
        case _:
            return f"{settings['messages'] or 0} per {per} in {window}"


def _reading(reading: Row | None, settings: Row) -> str:
    """``over (2 of 3): feed-1 published nothing for 61 s``."""
    if reading is None:
        return ""
    is_counted = settings["kind"] in ("silence", "errors") and reading["in_a_row"]
    row = f" ({reading['in_a_row']} of {settings['readings']})" if is_counted else ""
    return f"{reading['state']}{row}: {reading['words']}"
