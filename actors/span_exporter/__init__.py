"""OpenTelemetry: spans of what callers and publishers trace, exported beside the work."""
