"""The event stream to clients: WebSocket and Server-Sent Events."""
