"""Agents that the daemon runs: inside it as an actor, or any program as a child process."""
