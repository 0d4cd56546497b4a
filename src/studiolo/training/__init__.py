"""From data to weights: corpora, recipes, the loop, optimisers, checkpoints."""
