"""The actor that reads Redis: subscriptions, the durable stream, publishing."""
