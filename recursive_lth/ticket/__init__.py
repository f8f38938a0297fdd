"""A network at rest, and how it changes shape."""
