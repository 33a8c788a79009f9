"""The page of the queue in parts: what a row says, edits that can be undone, the form, the table and its buttons."""
