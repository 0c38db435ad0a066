-- The names of the types there are, by skipping through the index (type, id).
WITH RECURSIVE names AS (
  (SELECT type FROM events ORDER BY type LIMIT 1)
  UNION ALL
  SELECT (SELECT type FROM events WHERE type > names.type ORDER BY type LIMIT 1)
  FROM names WHERE names.type IS NOT NULL
)
SELECT type FROM names WHERE type IS NOT NULL
