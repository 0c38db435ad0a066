-- A page by mark or time from the whole table, between two ids. Sent unprepared, so that the planner sees
-- which conditions are set: marked rows have an index of their own. DESC becomes ASC for pages that go
-- forward. (id, type, payload, ts, source, processed)
SELECT id, type, payload::text, to_char(coalesce(ts, created_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
       source, coalesce(processed, false)
FROM events
WHERE id BETWEEN %(low)s AND %(high)s
  AND (%(types)s::text[] IS NULL OR type LIKE ANY (%(types)s)
       OR type = 'heartbeat' AND source LIKE ANY (%(heartbeats)s))
  AND (%(source)s::text IS NULL OR source = %(source)s)
  AND (%(from_ts)s::timestamptz IS NULL OR ts >= %(from_ts)s)
  AND (%(to_ts)s::timestamptz IS NULL OR ts <= %(to_ts)s)
  AND (%(processed)s::boolean IS NULL OR (%(processed)s AND processed)
       OR (NOT %(processed)s AND processed IS NOT TRUE))
  AND (%(chain)s::jsonb[] IS NULL OR payload @> ANY (%(chain)s)
       OR payload @> %(numbering)s::jsonb AND jsonb_typeof(payload -> 'id') IS DISTINCT FROM 'string' AND concat(source, '/', type) = %(place)s)
ORDER BY id DESC LIMIT %(limit)s
