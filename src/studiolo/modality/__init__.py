"""WHAT is made: raw things to tensors and back."""
