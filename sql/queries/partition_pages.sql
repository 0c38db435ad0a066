-- How many pages of disk a partition fills.
SELECT pg_relation_size(%(name)s::text::regclass) / current_setting('block_size')::bigint
