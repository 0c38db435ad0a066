-- Copy what is not too old between two ids; what has no rule, or no time, is kept.
INSERT INTO {name}
SELECT {source}.*
FROM {source} LEFT JOIN unnest(%(types)s::text[], %(befores)s::timestamptz[]) AS rule (type, before) USING (type)
WHERE id >= %(start)s AND id < %(end)s AND (coalesce(ts, created_at) < before) IS NOT TRUE
