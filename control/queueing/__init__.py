"""What is to be done, in which order, how it is carried out, and how long it takes."""
