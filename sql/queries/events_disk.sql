-- What the table takes on disk, indexes and all: (bytes, pages of rows, partitions).
SELECT sum(pg_total_relation_size(relid))::bigint,
       sum(pg_relation_size(relid))::bigint / current_setting('block_size')::bigint,
       count(*) - 1
FROM (SELECT relid FROM pg_partition_tree('events') UNION SELECT 'events'::regclass) AS tables
