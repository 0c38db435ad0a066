-- The next rows behind an id, oldest first; those that are not wanted come without payload, so that a page
-- costs the same whatever is looked for. (id, wanted, type, source, ts, processed, payload)
SELECT id, wanted, type, source,
       to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
       coalesce(processed, false), CASE WHEN wanted THEN payload::text END
FROM (
  SELECT *, (
    (%(types)s::text[] IS NULL OR type LIKE ANY (%(types)s)
     OR type = 'heartbeat' AND source LIKE ANY (%(heartbeats)s))
    AND (%(source)s::text IS NULL OR source = %(source)s)
    AND (%(from_ts)s::timestamptz IS NULL OR at >= %(from_ts)s)
    AND (%(to_ts)s::timestamptz IS NULL OR at <= %(to_ts)s)
  ) IS TRUE AS wanted
  FROM (
    SELECT *, coalesce(ts, created_at) AS at FROM events
    WHERE id > %(after)s AND id <= %(up_to)s ORDER BY id LIMIT %(scan)s
  ) AS near
) AS looked
ORDER BY id
