"""Files to documents: one reader for each kind of file."""
