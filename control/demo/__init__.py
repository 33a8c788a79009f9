"""The whole way on the simulated bench, and its report."""
