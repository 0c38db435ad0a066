-- Each index costs every stored event; so there are four, each with its reason:
--
-- (type, id)    pages of one type or a pattern, newest or oldest first, without sorting; the list of
--               types (it is skipped through from type to type); pruning a type from its oldest row.
-- (source, id)  pages of one source: a rare or a silent one would else be searched in the whole table.
--               Partial: rows without a source are never asked for by source.
-- ts, BRIN      pages of a time range. Rows lie in the order of time, so a summary of some bytes for
--               each 128 pages is enough, and costs next to nothing.
-- processed     the few rows that were marked; unmarked ones are not in it, so storing pays nothing.
--
-- An equal index under another name is taken as it is. Where the tables belong to another role, their
-- owner has to create these: queries are right without them, only slower.

DO $$
DECLARE
  wanted RECORD;
BEGIN
  IF NOT pg_has_role((SELECT relowner FROM pg_class WHERE oid = 'events'::regclass), 'USAGE') THEN
    RAISE NOTICE 'events belongs to another role: its indexes are left to it';
    RETURN;
  END IF;
  FOR wanted IN SELECT * FROM (VALUES
    ('events_type_id', 'btree (type, id)'),
    ('events_source_id', 'btree (source, id) WHERE (source IS NOT NULL)'),
    ('events_ts', 'brin (ts)'),
    ('events_processed', 'btree (id) WHERE processed')
  ) AS indexes (name, definition)
  LOOP
    IF NOT EXISTS (
      SELECT FROM pg_index
      WHERE indrelid = 'events'::regclass AND indisvalid
        AND split_part(pg_get_indexdef(indexrelid), ' USING ', 2) = wanted.definition
    ) THEN
      EXECUTE format('CREATE INDEX IF NOT EXISTS %I ON events USING %s', wanted.name, wanted.definition);
    END IF;
  END LOOP;
END
$$;
