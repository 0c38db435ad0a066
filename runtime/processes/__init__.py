"""Programs as supervised children."""
