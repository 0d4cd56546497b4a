"""Studiolo: a private studio for generative AI.

>>> import studiolo
>>> lm = studiolo.load()
>>> print(lm.generate("After the rain, the streets were", max_tokens=20, seed=1))
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from studiolo.errors import StudioloError

if TYPE_CHECKING:
    from studiolo.sampler.settings import Decoding
    from studiolo.task.generation import Generation, TextStream
    from studiolo.task.load import load
    from studiolo.task.text import LanguageModel

__version__ = "0.1.0"
__all__ = [
    "Decoding",
    "Generation",
    "LanguageModel",
    "StudioloError",
    "TextStream",
    "__version__",
    "load",
]

_HOME_OF = {
    "Decoding": "studiolo.sampler.settings",
    "Generation": "studiolo.task.generation",
    "LanguageModel": "studiolo.task.text",
    "TextStream": "studiolo.task.generation",
    "load": "studiolo.task.load",
}


def __getattr__(name: str) -> object:
    """Import torch and all that follows only when it is first needed (PEP 562)."""
    if name in _HOME_OF:
        from importlib import import_module

        return getattr(import_module(_HOME_OF[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
