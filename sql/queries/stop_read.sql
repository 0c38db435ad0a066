-- The stop's row. (value, xmin, whether row security may hide it)
SELECT state.value::text, state.xmin::text, row_security_active('orchestrator_state')
FROM (SELECT 1) AS always
LEFT JOIN orchestrator_state AS state ON state.key = 'killswitch_status'
