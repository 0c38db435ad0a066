"""The actor that fans events out to clients."""
