"""Simulated devices, one a file: bytes in, bytes out."""
