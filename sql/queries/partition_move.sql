-- Move rows of the default partition to where they belong.
WITH moved AS (DELETE FROM {source} WHERE id >= %(start)s AND id < %(end)s RETURNING *)
INSERT INTO {name} SELECT * FROM moved
