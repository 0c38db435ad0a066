-- Raise the sequence by using ids up: safe against others that take some at the same moment.
SELECT count(nextval(%(sequence)s::text::regclass)) FROM generate_series(1, %(count)s)
