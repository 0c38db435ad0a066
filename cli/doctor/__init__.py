"""Checks of this machine, its servers and agents."""
