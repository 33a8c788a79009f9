"""Key exchange, from light to stored key."""
