"""The page of the runs in parts: the table with its filters, details, comparison, figures, replay, and the report of a day."""
