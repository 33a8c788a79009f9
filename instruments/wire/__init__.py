"""Byte formats that a driver and its simulator share."""
