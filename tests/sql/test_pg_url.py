"""PostgreSQL URLs as people have them from other clients and hosts' documentation."""

import pytest
from orchestrator.sql.connection import conninfo
from orchestrator.sql.errors import StoreError
from orchestrator.sql.pg_url import BadPgUrl, read_pg_url
from psycopg.conninfo import conninfo_to_dict

TAKEN = [
    "postgres://u:p@h:5432/orch",
    "postgresql://u@/orch?host=/var/run/postgresql",
    "postgresql:///orch",
    "postgresql:///orch?host=@abstract",
    "postgresql://u:@h/orch",
    "postgresql://u:p%40ss%3Aw%2Frd%231%3F%25@h/orch",
    "postgresql://u:a#b@h/orch",
    "postgresql://[::1]:5432/orch",
    "postgresql://u:p@h1:5432,h2:5433/orch?target_session_attrs=read-write",
    "postgresql://u:p@h/orch?sslmode=verify-full&sslrootcert=system",
    "postgresql://h/orch?user=me@server&password=p@ss",
    "postgresql://u:p@h/orch?options=-csearch_path%3Dapp",
    "postgresql://u:p@h/orch?connect_timeout=3&keepalives_idle=5",
]


@pytest.mark.parametrize("url", TAKEN)
def test_a_url_means_what_it_means_to_libpq(url: str) -> None:
    read = read_pg_url(url)

    assert read.parameters == conninfo_to_dict(url)
    assert read.prepares
    assert read.ignored == ()


@pytest.mark.parametrize(
    ("options", "prepares", "ignored"),
    [
        ("pgbouncer=true", False, ()),
        ("pgbouncer=false", True, ()),
        ("pgbouncer=1&connection_limit=1", False, ("connection_limit",)),
        ("uselibpqcompat=true&sslmode=require", True, ("uselibpqcompat",)),
        ("prepareThreshold=0", False, ("prepareThreshold",)),
        ("statement_cache_size=0", False, ("statement_cache_size",)),
        ("workaround=supabase-pooler.vercel&supa=base-pooler.x", True, ("workaround", "supa")),
    ],
)
def test_options_of_other_clients_are_understood_or_taken_off(
    options: str, prepares: bool, ignored: tuple[str, ...]
) -> None:
    read = read_pg_url(f"postgresql://u:p@h:6543/postgres?{options}")

    assert (read.prepares, read.ignored) == (prepares, ignored)
    assert {"host", "port", "user", "password", "dbname"} <= read.parameters.keys()
    assert read.parameters.keys() <= {"host", "port", "user", "password", "dbname", "sslmode"}


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://u:p@h/orch?target_session_attrs=readwrite", "target_session_attrs to be"),
        ("postgresql://u:p@h/orch?target_session_attrs=readwrite", "read-write"),
        ("postgresql://u:p@h/orch?schema=app", "schema: write options=-csearch_path%3Dapp"),
        ("postgresql://u:p@h/orch?currentSchema=app", "options=-csearch_path%3Dapp"),
        ("postgresql://u:p@h/orch?schema=a,b", "options=-csearch_path%3DNAME"),
        ("postgresql://u:p@h/orch?sslmode=no-verify", "for no-verify write require"),
        ("postgresql://u:p@h/orch?ssl=true", "ssl: write sslmode=require"),
        ("postgresql://u:p@h/orch?statement_timeout=5", "postgres.statement_timeout_ms"),
        ("postgresql://u:p@h/orch?family=4", "family: an option that libpq does not have"),
        ("postgresql+psycopg://u:p@h/orch", "expected postgresql://"),
        ("jdbc:postgresql://h/orch", "expected postgresql://"),
        ("h:5432/orch", "expected postgresql://"),
        ("postgresql://u:hun@ter2@127.0.0.1/orch", "write @ as %40"),
    ],
)
def test_what_libpq_would_not_take_is_refused_by_name(url: str, said: str) -> None:
    with pytest.raises(BadPgUrl, match=r".") as caught:
        read_pg_url(url)

    assert said in str(caught.value)


@pytest.mark.parametrize("sign", "@:/?#%& \n[];=\\'\"é")
@pytest.mark.parametrize(
    "shape",
    [
        "postgresql://u:hun{}ter2@127.0.0.1/orch",
        "postgresql://u:{}hunter2@127.0.0.1:5432/orch?connect_timeout=soon",
        "postgresql://hunter2{}@h1,h2/orch?schema=app",
        "postgresql://h/orch?password=hun{}ter2&sslmode=yes",
        "postgresql://u:12?hunter2{}=hunter2@h/orch",
    ],
)
def test_no_text_repeats_a_part_of_a_password(shape: str, sign: str) -> None:
    url = shape.format(sign)

    try:
        conninfo(url)
    except StoreError as error:
        said = f"{error} {error.__cause__}"
    else:
        said = repr(read_pg_url(url))

    assert "hun" not in said
    assert "ter2" not in said
