-- How many rows one source has between two ids, counted up to `scan`.
SELECT count(*) FROM (
  SELECT FROM events
  WHERE (source, id) >= (%(source)s::text, %(low)s) AND (source, id) <= (%(source)s::text, %(high)s)
    AND source IS NOT NULL AND id BETWEEN %(low)s AND %(high)s
  ORDER BY source, id LIMIT %(scan)s
) AS counted
