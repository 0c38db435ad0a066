import psycopg
import pytest
from orchestrator.cli.errors import ExitCode, Failure
from orchestrator.cli.offline.database import database_failures
from orchestrator.sql.errors import Denied, SchemaError, StoreError, Unavailable


@pytest.mark.parametrize(
    ("error", "code", "exit_code"),
    [
        (Unavailable("gone"), "unreachable", ExitCode.UNREACHABLE),
        (Denied("no"), "denied", ExitCode.FORBIDDEN),
        (SchemaError("odd"), "schema", ExitCode.FAILED),
        (StoreError("else"), "database", ExitCode.FAILED),
        (psycopg.OperationalError("connection lost"), "unreachable", ExitCode.UNREACHABLE),
    ],
)
def test_each_refusal_has_its_code_and_exit_code(
    error: Exception, code: str, exit_code: ExitCode
) -> None:
    with pytest.raises(Failure) as caught, database_failures():
        raise error

    assert (caught.value.code, caught.value.exit_code) == (code, exit_code)
