"""The listening socket, connections, request heads, TLS."""
