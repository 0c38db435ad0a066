-- The last id the sequence gave, 0 if none yet. {sequence} is filled in by the caller.
SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM {sequence}
