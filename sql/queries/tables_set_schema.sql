-- Move our tables, partitions and all, and our functions, from one schema to another.
DO $$
DECLARE
  ours regclass[] := ARRAY(
    SELECT class.oid FROM pg_class AS class
    WHERE class.relnamespace = '{source}'::regnamespace AND class.relkind IN ('r', 'p')
      AND (class.relname IN ('events', 'agents') OR class.relname LIKE 'orchestrator\_%'
           OR class.oid IN (SELECT relid FROM pg_partition_tree(to_regclass('{source}.events')))));
  functions regprocedure[] := ARRAY(
    SELECT oid FROM pg_proc
    WHERE pronamespace = '{source}'::regnamespace AND proname LIKE 'orchestrator\_%');
  moved regclass;
  function regprocedure;
BEGIN
  FOREACH moved IN ARRAY ours LOOP
    EXECUTE format('ALTER TABLE %s SET SCHEMA %I', moved, '{target}');
  END LOOP;
  FOREACH function IN ARRAY functions LOOP
    EXECUTE format('ALTER FUNCTION %s SET SCHEMA %I', function, '{target}');
  END LOOP;
END
$$
