"""The key store: a key bit is spent once."""
