-- How many rows between two ids are marked, counted up to `scan`.
SELECT count(*) FROM (
  SELECT FROM events WHERE processed AND id BETWEEN %(low)s AND %(high)s ORDER BY id LIMIT %(scan)s
) AS counted
