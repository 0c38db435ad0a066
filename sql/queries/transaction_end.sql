-- End the backend that still works on this very transaction; returns a row as long as it is there.
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE pid = %(backend_pid)s AND backend_xid::text::bigint = (%(xid)s::bigint & 4294967295)
