-- Raise the sequence over a wide gap.
SELECT setval(%(sequence)s::text::regclass, %(value)s)
