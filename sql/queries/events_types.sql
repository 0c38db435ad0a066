-- The types there are (type, count, estimated, last_id, last_ts, rate per minute), most frequent first.
-- Cheap on a table of any size: names and newest rows by skipping through the index (type, id); counts
-- from a sample of pages (all of them if the table is small), exact for types of fewer than 200 rows;
-- the rate from the last five minutes, of which at most 20,000 rows are looked at.
WITH RECURSIVE names AS (
  (SELECT type FROM events ORDER BY type LIMIT 1)
  UNION ALL
  SELECT (SELECT type FROM events WHERE type > names.type ORDER BY type LIMIT 1)
  FROM names WHERE names.type IS NOT NULL
), sampled AS (
  SELECT type, count(*) * 100 / %(percent)s::float8 AS rows
  FROM events TABLESAMPLE SYSTEM (%(percent)s::float8) GROUP BY type
), recent AS (
  SELECT type, ts FROM (SELECT type, ts FROM events ORDER BY id DESC LIMIT 20000) AS newest
  WHERE ts > now() - interval '5 minutes'
), span AS (
  SELECT CASE WHEN count(*) < 20000 THEN 5.0
              ELSE greatest(extract(epoch FROM now() - min(ts)) / 60, 1 / 60.0) END AS minutes
  FROM recent
), rates AS (
  SELECT type, count(*) / (SELECT minutes FROM span) AS per_minute FROM recent GROUP BY type
)
SELECT names.type,
       CASE WHEN few.count < 200 THEN few.count
            ELSE greatest(round(coalesce(sampled.rows, 0))::bigint, few.count) END AS count,
       few.count >= 200 AND %(percent)s::float8 < 100 AS estimated,
       last.id, to_char(last.ts AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
       round(coalesce(rates.per_minute, 0), 2)::float8
FROM names
CROSS JOIN LATERAL (
  SELECT id, coalesce(ts, created_at) AS ts FROM events WHERE type = names.type ORDER BY id DESC LIMIT 1
) AS last
CROSS JOIN LATERAL (
  SELECT count(*) FROM (SELECT FROM events WHERE type = names.type ORDER BY id DESC LIMIT 200) AS nearest
) AS few
LEFT JOIN sampled ON sampled.type = names.type
LEFT JOIN rates ON rates.type = names.type
ORDER BY count DESC, names.type
LIMIT %(limit)s
