-- The partitions that are ours to keep: (name, first id, first id behind), the ids empty for the default.
-- No row: events is one table, or partitioned by somebody else.
SELECT child.oid::regclass::text,
       (regexp_match(pg_get_expr(child.relpartbound, child.oid), 'FROM \(''?(-?\d+)''?\)'))[1]::bigint,
       (regexp_match(pg_get_expr(child.relpartbound, child.oid), 'TO \(''?(-?\d+)''?\)'))[1]::bigint
FROM pg_class AS parent
JOIN pg_inherits ON inhparent = parent.oid
JOIN pg_class AS child ON child.oid = inhrelid
WHERE parent.oid = 'events'::regclass AND parent.relkind = 'p' AND pg_get_partkeydef(parent.oid) = 'RANGE (id)'
  AND obj_description(parent.oid, 'pg_class') LIKE 'orchestrator:%%'
ORDER BY 2 NULLS LAST
