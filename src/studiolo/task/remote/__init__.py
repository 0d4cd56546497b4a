"""Models that answer elsewhere: behind our keys, records and limits, on machines of others."""
