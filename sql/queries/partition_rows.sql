-- How many rows there are between two ids, as far as that matters.
SELECT count(*) FROM (
  SELECT FROM {name} WHERE id >= %(start)s AND id < %(end)s LIMIT %(limit)s
) AS nearest
