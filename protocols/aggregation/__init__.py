"""Quantiser, pairwise masks and secure sums."""
