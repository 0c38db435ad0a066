-- How many pages of disk the table fills: decides whether types are counted or estimated.
SELECT coalesce(sum(pg_relation_size(relid)), 0)::bigint / current_setting('block_size')::bigint
FROM pg_partition_tree('events')
