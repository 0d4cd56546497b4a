"""Choosing data: from files of any kind to token shards, and a manifest of what became of them."""
