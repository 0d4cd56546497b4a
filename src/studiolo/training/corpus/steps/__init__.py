"""The steps that documents go through: each a small pure function, with its rules beside it."""
