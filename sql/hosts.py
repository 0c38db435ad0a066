"""The hosts of a URL that names several for writing (`target_session_attrs=read-write`).

libpq tries them in the URL's order at each connect, and stops at the first that answers: one that
is frozen costs its whole limit (5 s) each time. So the host in use stands first here.
"""

from collections.abc import Mapping
from typing import Final

Place = dict[str, str]
"""libpq's parameters for one host: `host`, `hostaddr`, `port`, as far as the URL has them."""

_PARTS: Final = ("host", "hostaddr", "port")
_FOR_WRITING: Final = ("read-write", "primary")


class Hosts:
    """In the order they are tried; none where the URL names one, or does not ask for a writable.

    Args:
        parameters: libpq's.
    """

    def __init__(self, parameters: Mapping[str, str]) -> None:
        self._places: list[Place] = []
        if parameters.get("target_session_attrs") in _FOR_WRITING:
            self._places = _split(parameters)

    @property
    def in_order(self) -> Place:
        """All of them for libpq, the one in use first; empty without several."""
        return {
            part: ",".join(place[part] for place in self._places)
            for part in _PARTS
            if self._places and part in self._places[0]
        }

    @property
    def others(self) -> tuple[Place, ...]:
        """All but the one in use."""
        return tuple(self._places[1:])

    def use(self, host: str, port: int) -> bool:
        """This one is in use from now on; returns whether it was another one until now."""
        at = next((at for at, one in enumerate(self._places) if _is(one, host, port)), 0)
        if at > 0:
            self._places.insert(0, self._places.pop(at))
        return at > 0


def _split(parameters: Mapping[str, str]) -> list[Place]:
    lists = {part: parameters[part].split(",") for part in _PARTS if parameters.get(part)}
    count = max((len(values) for part, values in lists.items() if part != "port"), default=1)
    if count == 1 or any(len(values) not in (1, count) for values in lists.values()):
        return []  # libpq says what is wrong
    return [
        {part: values[at] if len(values) > 1 else values[0] for part, values in lists.items()}
        for at in range(count)
    ]


def _is(place: Place, host: str, port: int) -> bool:
    named = place.get("host") or place.get("hostaddr")
    return named == host and int(place.get("port") or "5432") == port
