-- Rename a type, a batch of rows by id: (last id looked at, rows looked at, rows renamed). A row whose payload
-- lacks a field of the new name keeps its type.
WITH batch AS (
  SELECT id FROM events WHERE type = %(old)s AND id > %(after)s ORDER BY id LIMIT %(batch)s
), renamed AS (
  UPDATE events SET type = (
    SELECT string_agg(CASE WHEN field THEN payload ->> part ELSE part END, '' ORDER BY place)
    FROM unnest(%(parts)s::text[], %(fields)s::bool[]) WITH ORDINALITY AS parts (part, field, place))
  WHERE id IN (SELECT id FROM batch) AND type = %(old)s AND NOT EXISTS (
    SELECT FROM unnest(%(parts)s::text[], %(fields)s::bool[]) AS parts (part, field)
    WHERE field AND coalesce(payload ->> part, '') = '')
  RETURNING id
)
SELECT max(id), count(*), (SELECT count(*) FROM renamed) FROM batch
