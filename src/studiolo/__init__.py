"""Studiolo: a private studio for generative AI."""
