"""Logs, metrics, stalls of the loop."""
