"""``/runtime/…``: the supervision tree, dead letters, and the books by source."""

import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from ...actors.messages.event_persister import GetBooks
from ...actors.sources import SourceBalance
from ...protocol.timestamps import timestamp, utc_now
from ...runtime import Address, AskTimeout, DeadLetter, DeadLetters, GetTree, RestartChild
from ..acts import Acts
from ..errors import NotFound
from ..peers import ASK_TIMEOUT_S, Instance
from ..requests import Call
from ..routes import Route
from .runtime_schemas import (
    ActorAnswer,
    ActorNode,
    ActorsAnswer,
    BooksAnswer,
    DeadLettersAnswer,
    DeadLetterShape,
    MailboxShape,
    SourceBooksShape,
)

COMMAND_WAIT_S: Final = 3.0
"""A slower start or stop continues after the answer, which then shows the intermediate state."""

Node = Mapping[str, Any]


class RuntimeRoutes:
    """The tree over REST.

    Args:
        root: The supervisor at the root.
        own_name: The HTTP server's name in the tree; it cannot wait for its own restart.
        persister: The EventPersister.
        dead_letters: All actors' dead letters.
        instance: This daemon.
        acts: Notes what operators do.
    """

    def __init__(  # noqa: PLR0913 wired in one place
        self,
        *,
        root: Address,
        own_name: str,
        persister: Address,
        dead_letters: DeadLetters,
        instance: Instance,
        acts: Acts,
    ) -> None:
        self._acts = acts
        self._root = root
        self._own_name = own_name
        self._persister = persister
        self._dead_letters = dead_letters
        self._instance = instance

    @Route("GET", "/runtime/actors", {200: ActorsAnswer})
    def actors(self, _call: Call) -> ActorsAnswer:
        """The supervision tree."""
        root = self._root
        tree = ActorNode(
            name=root.name,
            kind="supervisor",
            state="RUNNING",
            restarts=0,
            mailbox=MailboxShape(len(root.mailbox), root.mailbox.capacity),
            processed=root.processed,
            last_error=None,
            uptime_seconds=round(self._instance.uptime_s, 3),
            children=tuple(map(_node, self._tree())),
        )
        return ActorsAnswer("ok", utc_now(), tree)

    @Route(
        "POST",
        "/runtime/actors/{name}/restart",
        {202: ActorAnswer},
        errors=(404, 409),
        audit="actor.restart",
    )
    def restart_actor(self, call: Call) -> ActorAnswer:
        """Restart an actor.

        Answered when it runs again, or after 3 s with the intermediate state.
        """
        name = call.path["name"]
        row = before = find(self._tree(), name)
        if row is None or before is None:
            raise NotFound("There is no actor of that name; see /runtime/actors.")
        if find([row], self._own_name) is not None:
            self._root.tell(RestartChild(name))
        else:
            try:
                row = self._root.ask(RestartChild(name), timeout_s=COMMAND_WAIT_S)
            except AskTimeout:
                row = find(self._tree(), name) or row
        was, became = str(before["state"]), None if row is before else str(row["state"])
        self._acts.done(call, "actor.restart", target=name, was=was, became=became)
        return ActorAnswer("accepted", utc_now(), _node(row))

    @Route("GET", "/runtime/dead-letters", {200: DeadLettersAnswer})
    def dead_letters(self, _call: Call) -> DeadLettersAnswer:
        """Messages that were not handled.

        The last thousand, newest first.
        """
        kept = self._dead_letters
        letters = tuple(_letter(letter) for letter in reversed(kept.snapshot()))
        return DeadLettersAnswer("ok", utc_now(), letters, kept.total)

    @Route("GET", "/runtime/books", {200: BooksAnswer})
    def books(self, _call: Call) -> BooksAnswer:
        """What became of all received messages, by source.

        Of one moment, since the daemon's start.
        """
        rows: tuple[SourceBalance, ...] = self._persister.ask(GetBooks(), timeout_s=ASK_TIMEOUT_S)
        shapes = tuple(
            SourceBooksShape(**msgspec.structs.asdict(row), difference=row.difference)
            for row in rows
        )
        balanced = not any(row.difference for row in rows)
        since = timestamp(time.time() - self._instance.uptime_s)
        return BooksAnswer("ok", utc_now(), balanced, since, shapes)

    def _tree(self) -> Iterable[Node]:
        tree: Iterable[Node] = self._root.ask(GetTree(), timeout_s=ASK_TIMEOUT_S)
        return tree


def find(tree: Iterable[Node], name: str) -> Node | None:
    """The node of that name in ``tree`` or below it."""
    for node in tree:
        if node["name"] == name:
            return node
        below = find(node["children"], name)
        if below is not None:
            return below
    return None


def _node(node: Node | None) -> ActorNode:
    return msgspec.convert(node, ActorNode)


def _letter(letter: DeadLetter) -> DeadLetterShape:
    return DeadLetterShape(letter.actor, letter.message, letter.reason, timestamp(letter.at))
