from orchestrator.http.docs.notes import GROUPS, NOTES, group_of

from ..conftest import Served


def test_each_note_is_of_an_operation_that_there_is(served: Served) -> None:
    paths = served.get("/openapi.json").json["paths"]
    there = {f"{method.upper()} {path}" for path, item in paths.items() for method in item}

    assert set(NOTES) <= there


def test_every_path_is_in_a_group() -> None:
    assert group_of("/ready") == "health"
    assert group_of("/runtime/actors/{name}/restart") == "runtime"
    assert group_of("/something/new") == "about"
    assert group_of("/") in GROUPS


def test_every_example_is_taken(served: Served) -> None:
    posted = served.post("/bus/events", NOTES["POST /bus/events"].example)

    assert posted.status == 201
    marked = served.post("/bus/events/processed", NOTES["POST /bus/events/processed"].example)
    assert marked.status == 200
