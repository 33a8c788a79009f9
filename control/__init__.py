"""Composition: station to bench, the demo, the report."""
