"""The daemon: its tree of actors, and the process around it."""
