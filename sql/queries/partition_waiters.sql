-- Whether anybody waits for one of these tables.
SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = ANY (%(names)s::text[]::regclass[]))
