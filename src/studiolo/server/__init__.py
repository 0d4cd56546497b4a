"""The door that HTTP clients knock at."""
