"""Data sets, encoders and the batched QNN engine."""
