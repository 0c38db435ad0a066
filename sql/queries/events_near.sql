-- A page found within the nearest `scan` rows: what nearly every call needs, at a bounded cost whatever
-- the filter. DESC becomes ASC for pages that go forward. (id, type, payload, ts, source, processed)
SELECT id, type, payload::text, to_char(coalesce(ts, created_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
       source, coalesce(processed, false)
FROM (
  SELECT * FROM events WHERE id BETWEEN %(low)s AND %(high)s ORDER BY id DESC LIMIT %(scan)s
) AS near
WHERE (%(types)s::text[] IS NULL OR type LIKE ANY (%(types)s)
       OR type = 'heartbeat' AND source LIKE ANY (%(heartbeats)s))
  AND (%(source)s::text IS NULL OR source = %(source)s)
  AND (%(from_ts)s::timestamptz IS NULL OR ts >= %(from_ts)s)
  AND (%(to_ts)s::timestamptz IS NULL OR ts <= %(to_ts)s)
  AND (%(processed)s::boolean IS NULL OR coalesce(processed, false) = %(processed)s)
  AND (%(chain)s::jsonb[] IS NULL OR payload @> ANY (%(chain)s)
       OR payload @> %(numbering)s::jsonb AND jsonb_typeof(payload -> 'id') IS DISTINCT FROM 'string' AND concat(source, '/', type) = %(place)s)
ORDER BY id DESC LIMIT %(limit)s
