"""Blocks that families share.

Inside a block, modules call each other by ``forward``: PyTorch's machinery for hooks, which
nobody uses there, would cost a tenth of the time of a decoded token.
"""
