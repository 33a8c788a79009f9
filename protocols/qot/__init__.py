"""Oblivious transfer from shared four-qubit states, and layers of a neural network evaluated with it (10.1038/s41598-023-45791-z)."""
