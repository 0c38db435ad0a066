-- What the server reports to its client, and poolers therefore keep for each of theirs. The first row's
-- first column is the process that served this: behind a pooler not the one the connection was made with.
SELECT pg_backend_pid(), set_config(name, value, false)
FROM (VALUES
  ('standard_conforming_strings', 'on'), ('datestyle', 'ISO'), ('intervalstyle', 'postgres'),
  ('timezone', 'UTC')
) AS ours (name, value);
