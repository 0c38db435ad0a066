-- The types there are, and the earliest time among the first rows of each: who has nothing to prune is
-- passed over. (Twenty rows, lest one with a time in the future hides the rest for ever.)
WITH RECURSIVE names AS (
  (SELECT type FROM events ORDER BY type LIMIT 1)
  UNION ALL
  SELECT (SELECT type FROM events WHERE type > names.type ORDER BY type LIMIT 1)
  FROM names WHERE names.type IS NOT NULL
)
SELECT names.type, (
  SELECT min(ts) FROM (
    SELECT coalesce(ts, created_at) AS ts FROM events WHERE type = names.type ORDER BY id LIMIT 20
  ) AS first
)
FROM names WHERE names.type IS NOT NULL
