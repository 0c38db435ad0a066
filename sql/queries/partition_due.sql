-- Count what is too old between two ids. (type, rows)
SELECT type, count(*)
FROM {source} JOIN unnest(%(types)s::text[], %(befores)s::timestamptz[]) AS rule (type, before) USING (type)
WHERE id >= %(start)s AND id < %(end)s AND coalesce(ts, created_at) < before
GROUP BY type
