import pytest
from orchestrator.http.auth import Role
from orchestrator.http.requests import Call
from orchestrator.http.routes import Route, json_answer, plain_path, routes_of, values_in


class Things:
    @Route("POST", "/things", {201: str})
    def make(self, _call: Call) -> str:
        """Make a
        thing.

        Not twice.
        """
        return "made"

    @Route("GET", "/things", {200: str}, access=Role.OPEN)
    def show(self, _call: Call) -> str:
        """Show it."""
        return "shown"

    def other(self) -> None:
        """No route."""


CALL = Call({}, "id", {}, None, None)


def test_a_value_becomes_a_json_answer() -> None:
    answer = json_answer({"a": 1}, 201, (("X-A", "b"),))

    assert answer.body == b'{"a":1}'
    assert (answer.status, answer.content_type) == (201, "application/json")
    assert answer.headers == (("X-A", "b"),)


def test_routes_are_found_at_their_handlers_in_order() -> None:
    make, show = routes_of(Things())

    assert (make.method, make.path, make.handler(CALL)) == ("POST", "/things", "made")
    assert (show.method, show.path, show.handler(CALL)) == ("GET", "/things", "shown")


def test_a_handlers_docstring_describes_its_route() -> None:
    make, show = routes_of(Things())

    assert (make.summary, make.text) == ("Make a thing", "Not twice.")
    assert (show.summary, show.text) == ("Show it", "")


def test_who_may_call_follows_from_the_method_unless_declared() -> None:
    assert [route.needs for route in routes_of(Things())] == [Role.OPERATOR, Role.OPEN]


@pytest.mark.parametrize(
    ("path", "plain"), [("/a/", "/a"), ("/a", "/a"), ("/", "/"), ("//", "//"), ("/a//", "/a//")]
)
def test_one_trailing_slash_means_nothing(path: str, plain: str) -> None:
    assert plain_path(path) == plain


def test_values_of_a_path_are_as_they_were_sent() -> None:
    assert values_in("/state/{key}", "/STATE/Key") == {"key": "Key"}
    assert values_in("/a/{id}/b", "/A/X/B") == {"id": "X"}
    assert values_in("/dashboard/{name:path}", "/Dashboard/A/b.JS") == {"name": "A/b.JS"}
    assert values_in("/health", "/HEALTH") == {}
