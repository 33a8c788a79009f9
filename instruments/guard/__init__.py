"""Keeping the bench safe: one holder per resource, arming order, and the safe state, read back."""
