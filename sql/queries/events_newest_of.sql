-- The newest event of some types, by time, among the highest ids of each. (id, type, payload, ts, source, processed)
SELECT id, type, payload::text, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
       source, coalesce(processed, false)
FROM unnest(%(types)s::text[]) AS wanted (name)
CROSS JOIN LATERAL (
  SELECT *, coalesce(ts, created_at) AS at FROM events WHERE type = wanted.name ORDER BY id DESC LIMIT 20
) AS nearest
WHERE jsonb_typeof(payload) = 'object'
ORDER BY at DESC NULLS LAST, id DESC LIMIT 1
