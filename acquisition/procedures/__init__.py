"""Measurements that need instruments and run files only. Import a procedure from its module: they pull in PyMeasure."""
