-- The highest id in the table, 0 if it is empty. Ids from 2^52 on are left out: another program's, beyond
-- what JSON numbers carry; to continue from there would use the sequence up.
SELECT coalesce(max(id), 0) FROM events WHERE id < 4503599627370496
