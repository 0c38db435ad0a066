import pytest
from orchestrator.http import errors
from orchestrator.http.errors import ApiError, as_api_error
from orchestrator.runtime import (
    ActorFailed,
    ActorUnavailable,
    AskTimeout,
    MailboxFull,
    Refusal,
    UnknownChild,
)
from orchestrator.sql.errors import SchemaError, TimedOut
from orchestrator.sql.errors import Unavailable as StoreUnavailable


@pytest.mark.parametrize(
    "error",
    [
        ActorUnavailable("persister"),
        AskTimeout("persister", 2.0),
        MailboxFull("persister", 10),
        ActorFailed("persister", "ValueError: secret"),
        StoreUnavailable("no connection to secret"),
        TimedOut("SELECT secret"),
        SchemaError('relation "secret" does not exist'),
    ],
)
def test_what_is_away_is_503_with_retry_after_and_no_word_of_why(error: Exception) -> None:
    answer = as_api_error(error)

    assert answer.status == 503
    assert dict(answer.headers)["Retry-After"] == "1"
    assert "secret" not in answer.message
    assert "persister" not in answer.message


def test_a_fault_of_ours_is_500_and_says_nothing() -> None:
    answer = as_api_error(ValueError("/etc/secret"))

    assert answer.status == 500
    assert "secret" not in answer.message + answer.short


def test_an_actors_no_is_409_with_its_words() -> None:
    answer = as_api_error(Refusal("trip x is not in force"))

    assert (answer.status, answer.message) == (409, "trip x is not in force")


def test_an_unknown_actor_is_404() -> None:
    assert as_api_error(UnknownChild("x")).status == 404


def test_an_api_error_is_itself() -> None:
    error = errors.NotFound("no")

    assert as_api_error(error) is error
    assert str(error) == "no"


def test_every_kind_has_a_status_and_a_name_of_its_own() -> None:
    kinds = ApiError.__subclasses__()

    assert len({kind.error for kind in kinds}) == len(kinds)
    assert len({kind.status for kind in kinds}) == len(kinds)
    assert all(400 <= kind.status < 600 for kind in kinds)
