"""Studiolo: a private studio for generative AI.

>>> import studiolo
>>> lm = studiolo.load()
>>> print(lm.generate("After the rain, the streets were", max_tokens=20, seed=1))
>>> vectors = studiolo.embed(["wet streets", "a dry day"])
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from studiolo.errors import StudioloError

if TYPE_CHECKING:
    from studiolo.sampler.settings import Decoding
    from studiolo.task.embedding import EmbeddingModel
    from studiolo.task.generation import Generation, TextStream
    from studiolo.task.load import embed, load, load_encoder
    from studiolo.task.replay import Replay, replay
    from studiolo.task.text import LanguageModel

__version__ = "0.1.0"
__all__ = [
    "Decoding",
    "EmbeddingModel",
    "Generation",
    "LanguageModel",
    "Replay",
    "StudioloError",
    "TextStream",
    "__version__",
    "embed",
    "load",
    "load_encoder",
    "replay",
]

_HOME_OF = {
    "Decoding": "studiolo.sampler.settings",
    "EmbeddingModel": "studiolo.task.embedding",
    "Generation": "studiolo.task.generation",
    "LanguageModel": "studiolo.task.text",
    "Replay": "studiolo.task.replay",
    "TextStream": "studiolo.task.generation",
    "embed": "studiolo.task.load",
    "load": "studiolo.task.load",
    "load_encoder": "studiolo.task.load",
    "replay": "studiolo.task.replay",
}


def __getattr__(name: str) -> object:
    """Import torch and all that follows only when it is first needed (PEP 562)."""
    if name in _HOME_OF:
        from importlib import import_module

        return getattr(import_module(_HOME_OF[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
