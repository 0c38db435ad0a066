-- A table that can become a partition: columns, defaults, indexes. The names are filled in.
CREATE TABLE {name} (LIKE events INCLUDING ALL)
