"""The API described: OpenAPI, AsyncAPI, JSON Schema."""
