"""OpenTelemetry: spans of what callers and publishers trace, exported in the background."""
