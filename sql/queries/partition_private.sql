-- A new partition has what hosts grant on new tables; readers and writers come by way of events alone.
DO $$
DECLARE
  api TEXT := (SELECT string_agg(quote_ident(rolname), ', ') FROM pg_roles
               WHERE rolname IN ('anon', 'authenticated'));
BEGIN
  REVOKE ALL ON TABLE {name} FROM PUBLIC;
  IF api IS NOT NULL THEN
    EXECUTE 'REVOKE ALL ON TABLE {name} FROM ' || api;
  END IF;
END
$$
