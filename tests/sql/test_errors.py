import psycopg
import pytest
from orchestrator.sql import errors
from psycopg import errors as pg


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("22P02", errors.RefusedRows),
        ("22021", errors.RefusedRows),
        ("54001", errors.RefusedRows),
        ("23514", errors.RefusedRows),
        ("P0001", errors.RefusedRows),
        ("23505", errors.UniqueClash),
        ("57014", errors.TimedOut),
        ("57P01", errors.Unavailable),
        ("57P03", errors.Unavailable),
        ("53100", errors.Unavailable),
        ("40P01", errors.Unavailable),
        ("55P03", errors.Unavailable),
        ("25006", errors.Unavailable),
        ("42501", errors.Denied),
        ("28P01", errors.Denied),
        ("42P01", errors.SchemaError),
        ("42703", errors.SchemaError),
        ("XX000", errors.StoreError),
    ],
)
def test_each_state_of_the_server_means_one_thing_to_the_caller(
    state: str, expected: type[errors.StoreError]
) -> None:
    translated = errors.translate(pg.lookup(state)("it said so") if _known(state) else _own(state))

    assert type(translated) is expected
    assert translated.sqlstate == state


def _known(state: str) -> bool:
    try:
        pg.lookup(state)
    except KeyError:
        return False
    return True


def _own(state: str) -> psycopg.Error:
    class Own(psycopg.Error):
        sqlstate = state

    return Own("it said so")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("connection refused", errors.Unavailable),
        ('FATAL:  password authentication failed for user "x"', errors.Denied),
        ('FATAL:  database "x" does not exist', errors.Denied),
    ],
)
def test_without_a_state_the_text_decides(text: str, expected: type[errors.StoreError]) -> None:
    translated = errors.translate(psycopg.OperationalError(text))

    assert type(translated) is expected
    assert str(translated) == text


def test_data_that_the_client_side_refuses_is_refused_rows() -> None:
    assert type(errors.translate(psycopg.DataError("NUL"))) is errors.RefusedRows


def test_other_errors_of_the_client_side_are_plain_store_errors() -> None:
    assert type(errors.translate(psycopg.InterfaceError())) is errors.StoreError


def test_a_claimed_writer_is_named() -> None:
    error = errors.WriterClaimed(instance="a", host="h", pid=7, renewed_s_ago=1.6)

    assert "instance a on h, process 7, seen 2 s ago" in str(error)
