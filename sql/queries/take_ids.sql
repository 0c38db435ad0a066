-- Take ids in one go; another writer may take some in between, hence ranges: (first, last), ascending.
WITH taken AS (
  SELECT nextval(%(sequence)s::text::regclass) AS id FROM generate_series(1, %(count)s)
), islands AS (
  SELECT id, id - row_number() OVER (ORDER BY id) AS island FROM taken
)
SELECT min(id), max(id) FROM islands GROUP BY island ORDER BY min(id)
