import re
from typing import Any

import msgspec
import pytest
from orchestrator.http.docs.openapi import GROUPS, document, group_of
from orchestrator.http.requests import Call
from orchestrator.http.routes import Answer, Route, json_answer, routes_of

from ..conftest import Served


class Query(msgspec.Struct):
    limit: int = 50
    type: tuple[str, ...] = ()
    source: str | None = None


class One(msgspec.Struct):
    name: str


class Two(msgspec.Struct):
    number: int


class Things:
    @Route(
        "GET",
        "/things/{id}",
        {200: (One, Two)},
        query=Query,
        path_types={"id": int},
        errors=(404,),
    )
    def thing(self, _call: Call) -> One:
        """One thing.

        Of ``two`` kinds.
        """
        return One("a")

    @Route("POST", "/things", {201: One}, body=Two, counted=False, example={"number": 1})
    def make(self, _call: Call) -> One:
        """Make a thing."""
        return One("a")

    @Route("GET", "/page", {200: "text/html"}, documented=False)
    def page(self, _call: Call) -> Answer:
        """A page."""
        return json_answer({})

    @Route("GET", "/text", {200: None}, etag=True)
    def text(self, _call: Call) -> Answer:
        """Text."""
        return json_answer({})


ROUTES = routes_of(Things())


@pytest.fixture
def made() -> dict[str, Any]:
    return document(ROUTES, "1.2.3")


def test_paths_and_methods_are_those_of_the_routes(made: dict[str, Any]) -> None:
    assert made["openapi"] == "3.1.0"
    assert made["info"]["version"] == "1.2.3"
    assert {path: set(item) for path, item in made["paths"].items()} == {
        "/things/{id}": {"get"},
        "/things": {"post"},
        "/text": {"get"},
    }


def test_parameters_have_their_types_and_defaults(made: dict[str, Any]) -> None:
    parameters = made["paths"]["/things/{id}"]["get"]["parameters"]
    by_name = {parameter["name"]: parameter for parameter in parameters}

    assert by_name["id"]["in"] == "path"
    assert by_name["id"]["required"] is True
    assert by_name["id"]["schema"]["type"] == "integer"
    assert by_name["limit"]["schema"] == {"type": "integer", "default": 50}
    assert by_name["type"]["schema"]["type"] == "array"
    assert by_name["source"]["schema"] == {"type": "string"}
    assert by_name["source"]["required"] is False


def test_texts_and_examples_are_those_at_the_handler(made: dict[str, Any]) -> None:
    get, post = made["paths"]["/things/{id}"]["get"], made["paths"]["/things"]["post"]

    assert (get["summary"], get["description"]) == ("One thing", "Of `two` kinds.")
    assert "description" not in post
    assert post["requestBody"]["content"]["application/json"]["example"] == {"number": 1}


def test_an_answer_with_a_tag_may_be_304(made: dict[str, Any]) -> None:
    get = made["paths"]["/text"]["get"]

    assert "304" in get["responses"]
    assert [one["name"] for one in get["parameters"]] == ["If-None-Match"]


def test_every_operation_of_the_daemon_has_a_summary(served: Served) -> None:
    paths = served.get("/openapi.json").json["paths"]

    assert all(one["summary"] for item in paths.values() for one in item.values())


def test_every_path_is_in_a_group() -> None:
    assert group_of("/ready") == "health"
    assert group_of("/runtime/actors/{name}/restart") == "runtime"
    assert group_of("/something/new") == "about"
    assert group_of("/") in GROUPS


def test_every_example_of_an_event_is_accepted(served: Served) -> None:
    paths = served.get("/openapi.json").json["paths"]

    for path, status in (("/bus/events", 201), ("/bus/events/processed", 200)):
        content = paths[path]["post"]["requestBody"]["content"]["application/json"]
        assert served.post(path, content["example"]).status == status


def test_headers_that_a_route_reads_are_parameters(served: Served) -> None:
    stream = served.get("/openapi.json").json["paths"]["/events/stream"]["get"]
    (header,) = (one for one in stream["parameters"] if one["in"] == "header")

    assert (header["name"], header["required"]) == ("Last-Event-ID", False)
    assert header["schema"] == {"type": "integer", "minimum": 0, "maximum": 2**63 - 1}
    assert "`since`" in header["description"]


def test_bodies_and_answers_refer_to_components(made: dict[str, Any]) -> None:
    post = made["paths"]["/things"]["post"]
    get = made["paths"]["/things/{id}"]["get"]

    body = post["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/Two"}
    assert get["responses"]["200"]["content"]["application/json"]["schema"] == {
        "anyOf": [{"$ref": "#/components/schemas/One"}, {"$ref": "#/components/schemas/Two"}]
    }
    assert {"One", "Two", "ErrorAnswer"} <= set(made["components"]["schemas"])


def test_errors_are_those_that_can_come(made: dict[str, Any]) -> None:
    get = set(made["paths"]["/things/{id}"]["get"]["responses"])
    post = set(made["paths"]["/things"]["post"]["responses"])

    assert get == {"200", "400", "401", "403", "404", "429", "500", "503"}
    assert post == {"201", "400", "401", "403", "408", "413", "415", "500", "503"}


def test_the_daemons_document_has_every_path_of_the_contract(served: Served) -> None:
    paths = served.get("/openapi.json").json["paths"]

    assert {
        "/health",
        "/ready",
        "/health/agents",
        "/whoami",
        "/bus/events",
        "/bus/events/{id}",
        "/bus/events/processed",
        "/bus/types",
        "/bus/histogram",
        "/risk/killswitch",
        "/risk/killswitch/release",
        "/regime/state",
        "/state",
        "/state/{key}",
        "/runtime/actors",
        "/runtime/actors/{name}/restart",
        "/runtime/agents",
        "/runtime/agents/{id}/start",
        "/runtime/agents/{id}/stop",
        "/runtime/agents/{id}/restart",
        "/runtime/agents/{id}/resume",
        "/runtime/dead-letters",
        "/metrics",
    } <= set(paths)
    assert set(paths["/bus/events"]) == {"get", "post"}


def test_every_reference_leads_somewhere_and_ids_differ(served: Served) -> None:
    made = served.get("/openapi.json")
    components = made.json["components"]["schemas"]
    operations = [one for item in made.json["paths"].values() for one in item.values()]

    references = set(re.findall(r"#/components/schemas/(\w+)", made.body.decode()))

    assert references <= set(components)
    assert len({one["operationId"] for one in operations}) == len(operations)


def test_answers_fit_what_the_document_says(served: Served) -> None:
    made = served.get("/openapi.json").json
    for path in ("/health", "/ready", "/whoami", "/health/agents", "/state", "/runtime/actors"):
        schema = made["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]
        component = made["components"]["schemas"][schema["schema"]["$ref"].split("/")[-1]]

        answer = served.get(path).json

        assert set(component["required"]) <= set(answer), path
        assert set(answer) <= set(component["properties"]), path
