"""The table of events: written by COPY, read by pages."""
