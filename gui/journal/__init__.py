"""The page of the log in parts: the events as a model, their filters, and the table that follows the latest."""
