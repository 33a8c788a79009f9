"""From sifted bits to final keys in other people's hands."""
