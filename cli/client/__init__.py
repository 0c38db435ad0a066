"""Talking to a running daemon."""
