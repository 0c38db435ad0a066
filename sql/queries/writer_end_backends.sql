-- End what is left of that writer: a lost socket may hold the fence for minutes.
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE application_name = %(application)s AND pid <> pg_backend_pid()
  AND datname = current_database() AND usename = current_user
