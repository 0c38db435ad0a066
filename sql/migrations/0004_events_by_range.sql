-- `events` in partitions, by ranges of ids: old data goes by dropping tables, not row by row. Same name,
-- columns, primary key and indexes. Only a table that 0001 of ours made, that nobody has altered since and
-- that holds nothing is made anew (its sequence stays: ids are never given twice). Any other table, a
-- host's above all, stays as it is, and is pruned in small batches.
--
-- That it is ours and untouched is known by its row in pg_class: the transaction that wrote it is the one
-- that recorded 0001. (A grant, a trigger, a policy or any ALTER TABLE would have written it again.)
--
-- The daemon makes further partitions ahead of the ids in use; what fits none of them (a sequence that
-- leapt, another writer's ids) lands in events_default, so that no COPY ever fails for want of one.

DO $$
DECLARE
  above BIGINT;
BEGIN
  IF (SELECT relkind <> 'r' OR class.xmin <> ours.xmin
      FROM pg_class AS class, orchestrator_migrations AS ours
      WHERE class.oid = 'events'::regclass AND ours.name = '0001_tables')
    OR EXISTS (SELECT FROM pg_publication_rel WHERE prrelid = 'events'::regclass)
    OR EXISTS (SELECT FROM pg_inherits WHERE 'events'::regclass IN (inhparent, inhrelid))
  THEN
    RETURN;
  END IF;
  LOCK TABLE events IN ACCESS EXCLUSIVE MODE;
  IF EXISTS (SELECT FROM events) THEN
    RETURN;
  END IF;
  SELECT last_value / 1000000 * 1000000 INTO above FROM events_id_seq;
  ALTER SEQUENCE events_id_seq OWNED BY NONE;
  DROP TABLE events;

  CREATE TABLE events (
    id BIGINT PRIMARY KEY DEFAULT nextval('events_id_seq'),
    type TEXT NOT NULL,
    payload JSONB NOT NULL DEFAULT '{}',
    ts TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP,
    source TEXT,
    processed BOOLEAN DEFAULT FALSE,
    created_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP
  ) PARTITION BY RANGE (id);
  ALTER SEQUENCE events_id_seq OWNED BY events.id;
  COMMENT ON TABLE events IS 'orchestrator: partitions are made and dropped by the daemon';
  CREATE INDEX events_type_id ON events (type, id);
  CREATE INDEX events_source_id ON events (source, id) WHERE source IS NOT NULL;
  CREATE INDEX events_ts ON events USING brin (ts);
  CREATE INDEX events_processed ON events (id) WHERE processed;

  CREATE TABLE events_default PARTITION OF events DEFAULT;
  FOR number IN 0 .. 3 LOOP
    EXECUTE format('CREATE TABLE %I PARTITION OF events FOR VALUES FROM (%s) TO (%s)',
                   format('events_p%s_%s', above + number * 1000000, above + (number + 1) * 1000000),
                   above + number * 1000000, above + (number + 1) * 1000000);
  END LOOP;
EXCEPTION WHEN dependent_objects_still_exist THEN
  RAISE NOTICE 'something depends on events: it stays one table';
END
$$;
