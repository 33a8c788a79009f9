"""What an operator is told of the bench and of the stores, from what was read of them."""
