-- What the table takes on disk, indexes and all: (bytes, pages of rows, partitions).
SELECT coalesce(sum(pg_total_relation_size(relid)), 0)::bigint,
       coalesce(sum(pg_relation_size(relid)), 0)::bigint / current_setting('block_size')::bigint,
       count(*) FILTER (WHERE isleaf AND level > 0)
FROM pg_partition_tree('events')
