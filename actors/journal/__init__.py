"""The journal: every event on disk before it is shown; read back at a start."""
