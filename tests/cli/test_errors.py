import click
from orchestrator.cli.errors import BadUsage, ExitCode, Failure, from_usage_error


def test_the_object_for_programs_has_a_stable_code() -> None:
    failure = Failure("it broke", code="broken", cause="rust", advice="oil it")

    assert failure.as_json() == {
        "error": {
            "code": "broken",
            "message": "it broke",
            "cause": "rust",
            "next": "oil it",
            "exit_code": 1,
        }
    }


def test_what_is_not_known_is_left_out_of_the_lines() -> None:
    assert Failure("it broke", code="broken").lines() == [("error", "it broke")]


def test_wrong_usage_is_exit_code_two() -> None:
    assert BadUsage("no").exit_code == ExitCode.USAGE == 2


def test_what_click_writes_in_lines_becomes_one() -> None:
    found = from_usage_error(click.UsageError("Missing option '--role'. Choose from:\n\ta,\n\tb"))

    assert found.message == "missing option '--role'. Choose from: a, b"


def test_what_click_finds_becomes_ours() -> None:
    failure = from_usage_error(click.UsageError("Missing argument 'ID'."))

    assert failure.lines() == [
        ("error", "missing argument 'ID'"),
        ("next", "see `orchestrator --help`"),
    ]
