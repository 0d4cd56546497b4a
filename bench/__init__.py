"""The measured comparisons: each prints one table, with its peers in the same run."""
