"""``incident export``: what was around a moment, from a daemon or what it left, in one archive."""
