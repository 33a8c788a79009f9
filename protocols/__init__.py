"""What keys and measurements are for."""
