-- The first id that is not older than a moment, by halving: ids rise with time, nearly always (who asks
-- has to check). Behind the last one if all are older; null if there is no row.
WITH RECURSIVE halving (low, high) AS (
  SELECT min(id), max(id) + 1 FROM events
  UNION ALL
  SELECT CASE WHEN is_older THEN id + 1 ELSE low END, CASE WHEN is_older THEN high ELSE middle END
  FROM (
    SELECT low, high, (low + high) / 2 AS middle, near.id, coalesce(near.at < %(moment)s::timestamptz, false) AS is_older
    FROM halving LEFT JOIN LATERAL (
      SELECT id, coalesce(ts, created_at) AS at FROM events
      WHERE id >= (low + high) / 2 ORDER BY id LIMIT 1
    ) AS near ON true
    WHERE low < high
  ) AS looked
)
SELECT low FROM halving WHERE low >= high OR low IS NULL
