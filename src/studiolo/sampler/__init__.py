"""How a step is taken: decoding strategies."""
