-- Delete what is too old among the next rows of a type. (due, deleted, last id looked at, rows looked at)
WITH near AS (
  SELECT id, coalesce(ts, created_at) AS ts FROM events
  WHERE type = %(type)s AND id > %(after)s AND id < %(end)s ORDER BY id LIMIT %(batch)s
), gone AS (
  DELETE FROM events USING near
  WHERE events.id = near.id AND events.id > %(after)s AND events.id < %(end)s
    AND near.ts < %(before)s::timestamptz AND NOT %(dry_run)s::boolean
  RETURNING events.id
)
SELECT (SELECT count(*) FROM near WHERE ts < %(before)s::timestamptz), (SELECT count(*) FROM gone),
       (SELECT max(id) FROM near), (SELECT count(*) FROM near)
