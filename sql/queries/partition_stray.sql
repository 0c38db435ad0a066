-- The lowest id above a bound that landed in the default partition, NULL if none did.
SELECT min(id) FROM {name} WHERE id >= %(above)s
