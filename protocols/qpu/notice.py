"""What is to be said beside every run in a cloud."""

NOTICE = (
    "The operator of the cloud sees the circuit, every key and input in it, and every sample. A job that holds the qubits of all parties shows the physics and "
    "the noise; it hides nothing between the parties and nothing from the operator. Put keys of simulations only into it. What comes back is not signed: TLS "
    "protects the way, our digests the archive."
)
