"""The panel: what can be read off a network at a moment of its training."""
