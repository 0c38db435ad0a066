"""The queries in `queries/*.sql`, by name."""

from functools import cache
from importlib.resources import files


@cache
def query(name: str) -> bytes:
    """The text of `queries/<name>.sql`, as psycopg takes it (parameters as `%(name)s`)."""
    return files(__package__).joinpath("queries", f"{name}.sql").read_bytes()


@cache
def ascending(name: str) -> bytes:
    """The same page query for the other direction: forward, oldest first."""
    return query(name).replace(b" DESC", b" ASC")


@cache
def within_bytes(name: str, *, forward: bool) -> bytes:
    """A page query, but only until the payloads together have `%(max_bytes)s` bytes."""
    text = b"""
SELECT id, type, payload, ts, source, processed FROM (
  SELECT *, sum(octet_length(payload))
    OVER (ORDER BY id DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
  FROM (
%b
  ) AS page (id, type, payload, ts, source, processed)
) AS summed
WHERE coalesce(before, 0) < %%(max_bytes)s ORDER BY id DESC
""" % query(name)
    return text.replace(b" DESC", b" ASC") if forward else text
