"""The parties of a station: their stores, the key they make of runs, and what it cost."""
