-- How many pages of disk the table fills: decides whether types are counted or estimated.
SELECT pg_relation_size('events') / current_setting('block_size')::bigint
