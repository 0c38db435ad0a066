-- The sequence behind events.id: the one that its default calls, else that of an identity column.
SELECT coalesce(
  (SELECT sequences.oid::regclass
   FROM pg_attrdef AS defaults
   JOIN pg_attribute AS attributes ON attributes.attrelid = defaults.adrelid AND attributes.attnum = defaults.adnum
   JOIN pg_depend AS uses ON uses.classid = 'pg_attrdef'::regclass AND uses.objid = defaults.oid
   JOIN pg_class AS sequences ON sequences.oid = uses.refobjid AND sequences.relkind = 'S'
   WHERE defaults.adrelid = 'events'::regclass AND attributes.attname = 'id'
   LIMIT 1),
  pg_get_serial_sequence('events', 'id')::regclass
)::text
