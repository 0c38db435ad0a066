-- How many pages of disk the table fills: decides whether types are counted or estimated.
SELECT sum(pg_relation_size(relid))::bigint / current_setting('block_size')::bigint
FROM (SELECT relid FROM pg_partition_tree('events') UNION SELECT 'events'::regclass) AS tables
