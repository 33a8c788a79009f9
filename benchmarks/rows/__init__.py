"""One module a stage; each is found by itself."""
