-- Which part of a partition is of these types, from a sample of some 1,000 pages.
SELECT coalesce(count(*) FILTER (WHERE type = ANY (%(types)s))::float8 / nullif(count(*), 0), 0)
FROM {name} TABLESAMPLE SYSTEM (
  %(percent)s::float8
)
