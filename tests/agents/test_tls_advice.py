import ssl

import pytest
import redis
from orchestrator.agents.tls_advice import tls_advice


def failed(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code = code
    return error


def raised_from(cause: BaseException) -> redis.ConnectionError:
    """As redis-py raises it."""
    try:
        try:
            raise cause
        except OSError as error:
            raise redis.ConnectionError("Error 1 connecting") from error
    except redis.ConnectionError as error:
        return error


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        (failed(10), "renewed"),
        (failed(62), "name the server"),
        (failed(64), "name the server"),
        (failed(20), "ssl_ca_certs=FILE"),
        (ssl.SSLError(1, "WRONG_VERSION_NUMBER"), "redis://"),
    ],
)
def test_the_next_step_follows_from_what_failed(cause: ssl.SSLError, said: str) -> None:
    assert said in tls_advice(raised_from(cause))
    assert said in tls_advice(cause)


def test_other_errors_are_left_as_they_are() -> None:
    assert tls_advice(raised_from(ConnectionRefusedError())) == ""


def test_a_circle_of_causes_has_an_end() -> None:
    first, second = OSError("a"), OSError("b")
    first.__context__, second.__context__ = second, first

    assert tls_advice(first) == ""
