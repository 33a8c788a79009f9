"""What every room may use: errors, units, entropy, durable files, statements, the ledger, and the physics that bench and analysis share."""
