"""The gates of both languages do the same with the same permits and messages."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from orchestrator.agents.gate import AgentGate
from orchestrator.agents.killswitch import read_message
from orchestrator.protocol.gate import Resume

pytestmark = [pytest.mark.subprocess, pytest.mark.usefixtures("node_modules")]

FIELDS: dict[str, Any] = {
    "generation": 7,
    "instance": "i",
    "issued_at": "2026-01-31T09:30:00.000Z",
    "ttl_ms": 60_000,
    "halted": [],
    "releases": 0,
    "resumed": {},
    "signature": None,
}
LONG = 3_000
"""Milliseconds; the most that a permit is valid for."""


def case(*steps: dict[str, Any], agent: str = "a-1", group: str = "signals") -> dict[str, Any]:
    return {"id": agent, "group": group, "steps": steps}


def permit(pttl: int = LONG, after: int = 0, **fields: Any) -> dict[str, Any]:
    return {"permit": json.dumps(FIELDS | fields), "pttl": pttl, "after": after}


def stop(**fields: Any) -> dict[str, Any]:
    return {"message": json.dumps({"enabled": True} | fields)}


SCOPES: tuple[Any, ...] = (
    None,
    "all",
    "ALL",
    "",
    "group:signals",
    "group:Signals",
    "group:other",
    "group: other",
    "group:other ",
    "group:other\u0085",
    "group:\u00a0other",
    "group:o\nther",
    "group:o\u2028ther",
    "group:\ud800",
    "group:" + "x" * 512,
    "group:" + "x" * 513,
    "Group:other",
    "group",
    "group:",
    "agent:a-1",
    "agent:a-2",
    "agent:a-2:x",
    5,
    True,
    ["agent:a-2"],
    {"agent": "a-2"},
)
LEVELS: tuple[Any, ...] = (None, "halt", "reduce", "HALT", "", "stop", 0, False, ["reduce"])
MESSAGES = (
    "",
    "stop",
    "null",
    "[]",
    '{"enabled": false}',
    '{"enabled": 0}',
    '{"enabled": "false"}',
)
UNSOUND: tuple[dict[str, Any], ...] = (
    {"generation": 0},
    {"generation": -7},
    {"generation": 7.5},
    {"generation": "7"},
    {"generation": True},
    {"generation": 2**53},
    {"ttl_ms": 0},
    {"ttl_ms": -1},
    {"ttl_ms": None},
    {"ttl_ms": "3000"},
    {"releases": -1},
    {"releases": 0.5},
    {"halted": None},
    {"halted": {}},
    {"resumed": None},
)
INHERITED = ("constructor", "toString", "__proto__", "hasOwnProperty")
"""What every object has in JavaScript."""

CASES = [
    *(case(permit(), stop(scope=scope)) for scope in SCOPES),
    *(case(permit(), stop(scope="agent:a-2", level=level)) for level in LEVELS),
    *(case(permit(), stop(level=level)) for level in LEVELS),
    *(case(permit(), {"message": text}) for text in MESSAGES),
    *(case(permit(halted=[{"scope": scope, "level": "reduce"}])) for scope in SCOPES),
    *(case(permit(halted=[{"scope": "agent:a-2", "level": level}])) for level in LEVELS),
    *(case(permit(), permit(**fields)) for fields in UNSOUND),
    *(case(permit(pttl)) for pttl in (-2, -1, 0)),
    *(
        case(permit(releases=1), permit(generation=8, releases=1), agent=agent, group="execution")
        for agent in INHERITED
    ),
    *(
        case(permit(releases=1, resumed={agent: 7}), agent=agent, group="execution")
        for agent in (*INHERITED, "a-1")
    ),
    case(permit(60_000), permit(60_000, after=1_000), permit(60_000, after=2_001)),
    case(
        permit(60_000), permit(after=2_900, issued_at="later"), permit(after=2_900, issued_at="z")
    ),
    case(permit(), stop(), permit(), permit(generation=8, releases=1)),
    case(permit(), permit(generation=8, releases=1), agent="a-1", group="execution"),
]


def allowed(steps: Any, agent: str, group: str) -> list[str]:
    resume = Resume.MANUAL if group == "execution" else Resume.ON_PERMIT
    now_s = 100.0
    gate, said = AgentGate(agent, group, resume, now=lambda: now_s), []
    for step in steps:
        now_s += step.get("after", 0) / 1000
        if "message" in step:
            gate.hear(read_message(step["message"].encode()))
        else:
            gate.read(step["permit"].encode(), pttl_ms=step["pttl"], sent_at_s=now_s)
        said.append(gate.permission.value)
    return said


def test_the_gates_agree_about_permits_and_messages() -> None:
    script = Path(__file__).with_name("gate_cases.js")

    done = subprocess.run(
        ["node", str(script)], input=json.dumps(CASES), capture_output=True, text=True, check=True
    )

    found = list(zip(CASES, json.loads(done.stdout), strict=True))
    differing = [
        (one, theirs, ours)
        for one, theirs in found
        if theirs != (ours := allowed(one["steps"], one["id"], one["group"]))
    ]
    assert differing == []
    assert {"allowed", "reduce", "halt"} == {word for _, said in found for word in said}
