"""What the described API says beyond its types: texts and examples, by operation.

A page's reader sees them at ``/docs``; ``tests/http/docs/test_notes.py`` finds one without its
route.
"""

from typing import Any, Final, NamedTuple


class Note(NamedTuple):
    """What is to be said of an operation."""

    text: str
    """Markdown with nothing but paragraphs and code."""
    example: Any = None
    """A body that may be sent."""


GROUPS: Final = {
    "health": ("Health", "Whether the daemon serves, and which agents there are."),
    "bus": ("Events", "Everything that came over the bus, in the order of receipt."),
    "risk": ("Killswitch", "The stop: to engage it, to see it, to release it."),
    "state": ("State", "What is kept: the market regime, the killswitch, counts."),
    "runtime": ("Runtime", "The supervision tree and the agents that this daemon runs."),
    "about": ("Pages and descriptions", "For monitoring, for tools, and for you."),
}
"""Key → title and text of the groups of operations, in the order of the page."""

_GROUP_OF: Final = {"ready": "health", "regime": "state", "events": "bus"}


def group_of(path: str) -> str:
    """The key of the group that ``path`` is in."""
    first = path.split("/")[1]
    first = _GROUP_OF.get(first, first)
    return first if first in GROUPS else "about"


NOTES: Final = {
    "GET /health": Note(
        "Answers 200 as long as the process serves, whatever Redis and PostgreSQL do: what load "
        "balancers check. `HEAD` does as well. Never limited."
    ),
    "GET /ready": Note("200 if every check is good, else 503 with the same body."),
    "GET /health/agents": Note(
        "`active_agents` counts those with a beat within the timeout that have not said to be "
        "offline. `liveness` is `unknown` while the daemon itself cannot see the bus."
    ),
    "GET /bus/events": Note(
        "Without `since`: the latest `limit` events. With `since`: the oldest ones after that id, "
        "so whoever goes on with `cursor` until `has_more` is false misses nothing.\n\n"
        "`after` is the same as `since`, but means it at 0 too: from the very first event. "
        "`before` pages backwards, with the page's lowest id as the next value. Give one of "
        "them.\n\n"
        "An answer never passes over an id that cannot be read at the moment; it is 503 then."
    ),
    "GET /events/stream": Note(
        "The WebSocket's frames as Server-Sent Events: the first is `connection`, then one event a "
        "message. A message's `id` is the event's; a browser that connects again sends it as "
        "`Last-Event-ID`, and is given everything behind it, in order, then what comes live. What "
        "cannot be given is said in a `gap` message. `error` `cursor_ahead`: there is no such "
        "event."
    ),
    "POST /bus/events": Note(
        "Journalled on disk before it is answered, then published on the channel `type`. 202 with "
        "`id: null` while no id can be had. Types `bus.*`, `runtime.*`, `agent.*` and "
        "`risk.killswitch` are the daemon's own.",
        {
            "type": "strategy.candidate",
            "payload": {"symbol": "AAPL", "action": "buy", "score": 0.91},
            "source": "my-agent",
        },
    ),
    "POST /bus/events/processed": Note(
        "Ids that there are not come back as `missing`; the others are marked.",
        {"ids": [1, 2, 3]},
    ),
    "GET /risk/killswitch": Note(
        "`unknown`: the daemon cannot know, so `enabled` is true, and agents do not trade. Never "
        "limited."
    ),
    "POST /risk/killswitch": Note(
        "Works while PostgreSQL, Redis or both are down: what could not be delivered at once is "
        "retried until it is. Never limited.\n\n`latched`: on disk; `persisted`: committed in "
        "PostgreSQL by now; `published_to`: how many receivers Redis reported.",
        {"reason": "prices of AAPL look wrong"},
    ),
    "POST /risk/killswitch/release": Note(
        "Releases that very trip, which `GET /risk/killswitch` names; another id is 409. Trading "
        "stays stopped while other trips are in force.",
        {"reason": "prices are right again", "trip_id": "the trip_id of the stop"},
    ),
    "GET /regime/state": Note("`no_data` until a regime detector has reported."),
    "POST /runtime/actors/{name}/restart": Note(
        "Answered when it runs again, or after 3 s with the state on the way."
    ),
    "POST /runtime/agents/{id}/resume": Note("409 while the killswitch is in force or unknown."),
    "GET /metrics": Note("Prometheus text, version 0.0.4 or 1.0.0."),
    "GET /": Note(
        "With `Upgrade: websocket` the same address is the event stream; see `/asyncapi.json`."
    ),
    "GET /docs": Note("`/openapi.json` and `/asyncapi.json` as a page to read."),
    "GET /openapi.json": Note("OpenAPI 3.1, made from the routes and types that check requests."),
    "GET /asyncapi.json": Note("AsyncAPI 3: channels on Redis, and the WebSocket's frames."),
}
"""Method and path → what is said of it."""

ABOUT: Final = (
    "Events, agents, state and the killswitch of one daemon.\n\n"
    "Live events come over the WebSocket at `/` and `/ws`; its frames and the bus are described "
    "in `/asyncapi.json`. Times are UTC, ISO 8601 with milliseconds. Every answer carries "
    "`X-Request-ID` (the caller's, if it sent a sane one). An error is `{error, message, "
    "timestamp, request_id}`; unknown paths are 404, wrong methods 405 with `Allow`."
)
"""The document's description."""
