"""Is it any good? Measures of models."""
