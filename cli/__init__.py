"""The command line: one command per user job."""
