"""The guard: a small separate process, which acts when the daemon cannot.

Run as ``python -I -S <this folder>``. Its modules, but for `actor`, `link` and `settings`, which
are the daemon's side of it, need the standard library and pure modules of ours only.
"""
