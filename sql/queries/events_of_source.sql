-- A page of one source from the whole table, by the index (source, id) whatever else is asked for. DESC
-- becomes ASC for pages that go forward. (id, type, payload, ts, source, processed)
SELECT id, type, payload::text, to_char(coalesce(ts, created_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
       source, coalesce(processed, false)
FROM events
WHERE (source, id) >= (%(source)s::text, %(low)s) AND (source, id) <= (%(source)s::text, %(high)s)
  AND source IS NOT NULL AND id BETWEEN %(low)s AND %(high)s
  AND (%(types)s::text[] IS NULL OR type LIKE ANY (%(types)s)
       OR type = 'heartbeat' AND source LIKE ANY (%(heartbeats)s))
  AND (%(from_ts)s::timestamptz IS NULL OR ts >= %(from_ts)s)
  AND (%(to_ts)s::timestamptz IS NULL OR ts <= %(to_ts)s)
  AND (%(processed)s::boolean IS NULL OR coalesce(processed, false) = %(processed)s)
  AND (%(chain)s::jsonb[] IS NULL OR payload @> ANY (%(chain)s)
       OR payload @> %(numbering)s::jsonb AND jsonb_typeof(payload -> 'id') IS DISTINCT FROM 'string' AND concat(source, '/', type) = %(place)s)
ORDER BY events.source DESC, id DESC LIMIT %(limit)s
