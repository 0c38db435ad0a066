"""Three agents to begin with: quotes, a strategy, a regime detector."""
