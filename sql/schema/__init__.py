"""Migrations, partitions, retention."""
