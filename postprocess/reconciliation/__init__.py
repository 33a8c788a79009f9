"""Cascade error correction between two parties."""
