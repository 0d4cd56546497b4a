"""Text: token ids to text and back, streaming, and chat templates."""
