-- The last id that the sequence gave, 0 if none yet. The name of the sequence is filled in.
SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM {}
