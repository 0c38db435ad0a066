-- The types in a partition.
WITH RECURSIVE names AS (
  (SELECT type FROM {name} ORDER BY type LIMIT 1)
  UNION ALL
  SELECT (SELECT type FROM {name} WHERE type > names.type ORDER BY type LIMIT 1)
  FROM names WHERE names.type IS NOT NULL
)
SELECT type FROM names WHERE type IS NOT NULL
