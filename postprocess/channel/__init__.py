"""Frames, transports and authentication of the classical channel."""
