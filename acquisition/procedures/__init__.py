"""Measurements an operator starts: count rates and phase scans."""
