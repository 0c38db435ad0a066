"""Runs the agents that the settings name."""
