"""Heliograph: control and acquisition suite of a quantum-optics bench on which several parties learn together."""
