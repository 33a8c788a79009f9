"""The optical graph as pure functions and small state."""
