-- The columns of our tables as they are. (table, column, type)
SELECT class.relname, attribute.attname, format_type(attribute.atttypid, NULL)
FROM pg_class AS class JOIN pg_attribute AS attribute ON attribute.attrelid = class.oid
WHERE class.oid = ANY (ARRAY[to_regclass('agents'), to_regclass('events'), to_regclass('orchestrator_state'),
                             to_regclass('orchestrator_writer')]::oid[])
  AND attribute.attnum > 0 AND NOT attribute.attisdropped
