"""The actor that keeps the agent registry."""
