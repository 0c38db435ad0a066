-- What is counted so far; held, so that two never count at once. (low, high)
SELECT low, high FROM orchestrator_counted FOR UPDATE
