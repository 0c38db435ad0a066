-- The newest events of some types up to a moment, newest first; each type by the index (type, id), so that a
-- frequent one hides no other. (id, true, type, source, ts, processed, payload)
SELECT id, true, type, source, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
       coalesce(processed, false), payload::text
FROM unnest(%(types)s::text[]) AS wanted (name)
CROSS JOIN LATERAL (
  SELECT *, coalesce(ts, created_at) AS at FROM events
  WHERE type = wanted.name AND id <= %(up_to)s AND coalesce(ts, created_at) <= %(moment)s
  ORDER BY id DESC LIMIT %(limit)s
) AS nearest
ORDER BY at DESC, id DESC
