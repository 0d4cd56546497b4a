"""Many requests, one loop."""
