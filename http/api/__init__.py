"""The routes, and the shapes of what they answer."""
