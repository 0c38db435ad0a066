"""The actors through which an event goes, and the rules of the bus."""
