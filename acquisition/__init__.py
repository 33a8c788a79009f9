"""From raw streams to sifted events: patterns, time tags, sifting, run files."""
