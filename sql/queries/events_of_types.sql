-- A page of certain types from the whole table: the names are found by skipping through the index
-- (type, id), then the nearest rows of each; so it costs types, not rows. DESC becomes ASC for pages
-- that go forward. (id, type, payload, ts, source, processed)
WITH RECURSIVE names AS (
  (SELECT type FROM events ORDER BY type LIMIT 1)
  UNION ALL
  SELECT (SELECT type FROM events WHERE type > names.type ORDER BY type LIMIT 1)
  FROM names WHERE names.type IS NOT NULL
), found AS (
  SELECT nearest.id
  FROM names CROSS JOIN LATERAL (
    SELECT id FROM events
    WHERE events.type = names.type AND id BETWEEN %(low)s AND %(high)s
      AND (names.type LIKE ANY (%(types)s) OR source LIKE ANY (%(heartbeats)s))
      AND (%(source)s::text IS NULL OR source = %(source)s)
      AND (%(from_ts)s::timestamptz IS NULL OR ts >= %(from_ts)s)
      AND (%(to_ts)s::timestamptz IS NULL OR ts <= %(to_ts)s)
      AND (%(processed)s::boolean IS NULL OR coalesce(processed, false) = %(processed)s)
    ORDER BY id DESC LIMIT %(limit)s
  ) AS nearest
  WHERE names.type LIKE ANY (%(types)s) OR names.type = 'heartbeat' AND %(heartbeats)s <> '{}'::text[]
  ORDER BY nearest.id DESC LIMIT %(limit)s
)
SELECT id, type, payload::text, to_char(coalesce(ts, created_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
       source, coalesce(processed, false)
FROM found JOIN events USING (id)
ORDER BY id DESC
