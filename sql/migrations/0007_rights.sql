-- Tables of ours are nobody else's: hosts grant all on new tables to the roles of their web APIs (anon,
-- authenticated), and so could anyone end the daemon by its own fence. From PUBLIC and from those roles all
-- rights are taken, on orchestrator_* and on agents, events, orchestrator_state where 0001 made them and
-- nobody has altered them since (known as in 0004); a host's own tables stay as they are.
--
-- Where such roles exist, orchestrator_* (but not orchestrator_state) also get row security with a policy for
-- every role but those: it holds when a host grants again, and a daemon that is not the owner goes on seeing
-- them. Run again after every later migration: it may have made tables.

DO $$
DECLARE
  api TEXT[] := ARRAY(SELECT rolname::text FROM pg_roles WHERE rolname IN ('anon', 'authenticated'));
  ours OID[];
  made RECORD;
BEGIN
  ours := ARRAY(
    WITH seed AS (
      SELECT class.oid FROM pg_class AS class, orchestrator_migrations AS first
      WHERE class.oid = ANY (ARRAY['agents'::regclass, 'events'::regclass, 'orchestrator_state'::regclass]::oid[])
        AND first.name = '0001_tables'
        AND (class.xmin = first.xmin OR obj_description(class.oid, 'pg_class') LIKE 'orchestrator: %')
    ), tables AS (
      SELECT oid FROM seed
      UNION SELECT inhrelid FROM pg_inherits, seed WHERE inhparent = seed.oid
      UNION SELECT class.oid FROM pg_class AS class, pg_class AS writer
        WHERE writer.oid = 'orchestrator_writer'::regclass AND class.relnamespace = writer.relnamespace
          AND class.relkind = 'r' AND class.relname LIKE 'orchestrator\_%'
          AND class.oid <> 'orchestrator_state'::regclass
    ), theirs AS (
      SELECT oid FROM tables
      UNION SELECT objid FROM pg_depend, tables
        WHERE refobjid = tables.oid AND classid = 'pg_class'::regclass AND deptype IN ('a', 'i')
    )
    SELECT oid FROM theirs
  );
  FOR made IN
    SELECT oid::regclass AS name, CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind,
           relkind = 'r' AND relname LIKE 'orchestrator\_%' AND relname <> 'orchestrator_state' AS secured
    FROM pg_class
    WHERE oid = ANY (ours) AND relkind IN ('r', 'p', 'S') AND pg_has_role(relowner, 'USAGE')
  LOOP
    EXECUTE format('REVOKE ALL ON %s %s FROM PUBLIC', made.kind, made.name);
    IF api <> '{}' THEN
      EXECUTE format('REVOKE ALL ON %s %s FROM %s', made.kind, made.name, array_to_string(api, ', '));
      IF made.secured THEN
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', made.name);
        EXECUTE format('DROP POLICY IF EXISTS orchestrator_own ON %s', made.name);
        EXECUTE format('CREATE POLICY orchestrator_own ON %s USING (current_user <> ALL (%L::name[])) '
                       'WITH CHECK (current_user <> ALL (%L::name[]))', made.name, api, api);
      END IF;
    END IF;
  END LOOP;
END
$$;
