"""Benchmarks: each figure is a ratio to something measured in the same run, where there is one."""
