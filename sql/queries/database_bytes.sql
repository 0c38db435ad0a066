-- What the database takes on disk, indexes and all, by class: (class, bytes).
WITH tables AS (
    SELECT CASE WHEN relname IN ('agents', 'orchestrator_state') THEN relname
                WHEN oid IN (SELECT relid FROM pg_partition_tree(to_regclass('events'))
                             UNION SELECT to_regclass('events')) THEN 'events'
                WHEN relname LIKE 'orchestrator\_%' THEN 'own' ELSE 'other' END AS class,
           pg_total_relation_size(oid) AS bytes
    FROM pg_class WHERE relkind IN ('r', 'm') AND relnamespace::regnamespace::text !~ '^pg_|^information'
)
SELECT class, sum(bytes)::bigint FROM tables GROUP BY 1
UNION ALL
SELECT 'system', pg_database_size(current_database()) - coalesce((SELECT sum(bytes) FROM tables), 0)::bigint
