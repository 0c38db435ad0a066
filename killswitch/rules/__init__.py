"""Rules that stop by themselves: too many messages, acting after a stop."""
