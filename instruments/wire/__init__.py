"""Byte codecs that a driver and its simulator share: pure functions, no transport, no clock."""
