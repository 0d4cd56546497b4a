"""What may go in and out: personal data, words, topics, attacks, grounding, under one policy."""
