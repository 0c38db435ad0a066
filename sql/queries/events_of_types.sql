-- A page of certain types from the whole table: the types that fit a pattern are found by skipping through
-- the index (type, id), then the nearest rows of each; likewise heartbeats by source. So it costs types,
-- not rows. Rows are compared as (type, id): whatever the planner takes for likely, only that index has
-- this order. DESC becomes ASC for pages that go forward. (id, type, payload, ts, source, processed)
WITH RECURSIVE every_type AS (
  (SELECT type FROM events WHERE %(patterns)s <> '{}'::text[] ORDER BY type LIMIT 1)
  UNION ALL
  SELECT (SELECT type FROM events WHERE type > every_type.type ORDER BY type LIMIT 1)
  FROM every_type WHERE every_type.type IS NOT NULL
), names AS (
  SELECT type FROM every_type WHERE type LIKE ANY (%(patterns)s)
  UNION SELECT unnest(%(exact)s::text[])
), every_source AS (
  (SELECT source FROM events
   WHERE source IS NOT NULL AND %(beat_patterns)s <> '{}'::text[] ORDER BY source LIMIT 1)
  UNION ALL
  SELECT (SELECT source FROM events
          WHERE source IS NOT NULL AND source > every_source.source ORDER BY source LIMIT 1)
  FROM every_source WHERE every_source.source IS NOT NULL
), agents AS (
  SELECT source FROM every_source WHERE source LIKE ANY (%(beat_patterns)s)
  UNION SELECT unnest(%(beats)s::text[])
), found AS (
  SELECT nearest.id
  FROM names CROSS JOIN LATERAL (
    SELECT id FROM events
    WHERE (type, id) >= (names.type, %(low)s) AND (type, id) <= (names.type, %(high)s)
      AND id BETWEEN %(low)s AND %(high)s
      AND (%(source)s::text IS NULL OR source = %(source)s)
      AND (%(from_ts)s::timestamptz IS NULL OR ts >= %(from_ts)s)
      AND (%(to_ts)s::timestamptz IS NULL OR ts <= %(to_ts)s)
      AND (%(processed)s::boolean IS NULL OR coalesce(processed, false) = %(processed)s)
      AND (%(chain)s::jsonb[] IS NULL OR payload @> ANY (%(chain)s)
           OR payload @> %(numbering)s::jsonb AND jsonb_typeof(payload -> 'id') IS DISTINCT FROM 'string' AND concat(source, '/', type) = %(place)s)
    ORDER BY events.type DESC, id DESC LIMIT %(limit)s
  ) AS nearest
  UNION
  SELECT nearest.id
  FROM agents CROSS JOIN LATERAL (
    SELECT id FROM events
    WHERE (source, id) >= (agents.source, %(low)s) AND (source, id) <= (agents.source, %(high)s)
      AND source IS NOT NULL AND id BETWEEN %(low)s AND %(high)s AND type = 'heartbeat'
      AND (%(source)s::text IS NULL OR source = %(source)s)
      AND (%(from_ts)s::timestamptz IS NULL OR ts >= %(from_ts)s)
      AND (%(to_ts)s::timestamptz IS NULL OR ts <= %(to_ts)s)
      AND (%(processed)s::boolean IS NULL OR coalesce(processed, false) = %(processed)s)
      AND (%(chain)s::jsonb[] IS NULL OR payload @> ANY (%(chain)s)
           OR payload @> %(numbering)s::jsonb AND jsonb_typeof(payload -> 'id') IS DISTINCT FROM 'string' AND concat(source, '/', type) = %(place)s)
    ORDER BY events.source DESC, id DESC LIMIT %(limit)s
  ) AS nearest
), page AS (
  SELECT id FROM found ORDER BY id DESC LIMIT %(limit)s
)
SELECT id, type, payload::text, to_char(coalesce(ts, created_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
       source, coalesce(processed, false)
FROM page JOIN events USING (id)
ORDER BY id DESC
