"""Speed against peers: every row is a ratio of two medians, interleaved in one process on one core."""
