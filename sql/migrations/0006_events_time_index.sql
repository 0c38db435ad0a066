-- The index on times also knows ids: (id, ts), BRIN. Pages of a time range are looked for between two ids;
-- that no row of the range lies outside of them ("id > x AND ts <= y") is then told by the index alone, in
-- a millisecond. By ts alone all older rows would have to be looked at. What is stored is summarised soon
-- (autosummarize), not only at the next vacuum.
--
-- A table of another role's is left to its owner, an index of a host's own stays.

DO $$
DECLARE
  former TEXT;
BEGIN
  IF NOT pg_has_role((SELECT relowner FROM pg_class WHERE oid = 'events'::regclass), 'USAGE') THEN
    RAISE NOTICE 'events belongs to another role: its indexes are left to it';
    RETURN;
  END IF;
  IF NOT EXISTS (
    SELECT FROM pg_index
    WHERE indrelid = 'events'::regclass AND indisvalid
      AND split_part(pg_get_indexdef(indexrelid), ' USING ', 2) LIKE 'brin (id, ts)%'
  ) THEN
    CREATE INDEX IF NOT EXISTS events_id_ts ON events USING brin (id, ts) WITH (autosummarize = on);
  END IF;
  SELECT pg_index.indexrelid::regclass::text INTO former
  FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
  WHERE indrelid = 'events'::regclass AND relname = 'events_ts'
    AND split_part(pg_get_indexdef(indexrelid), ' USING ', 2) = 'brin (ts)';
  IF former IS NOT NULL THEN
    EXECUTE format('DROP INDEX %s', former);
  END IF;
END
$$;
