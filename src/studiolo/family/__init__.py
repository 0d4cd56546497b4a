"""How it is made: one family of generative models, one file."""
