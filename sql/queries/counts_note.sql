-- Note what is counted, in the transaction that counted it.
UPDATE orchestrator_counted SET low = %(low)s, high = %(high)s
