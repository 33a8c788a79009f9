"""The owner of a bench: the process that speaks to its instruments, what it answers to its clients, and what it writes down."""
