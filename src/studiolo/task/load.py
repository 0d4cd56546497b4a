"""From a name to a model that is ready to use, fetched first if it is not here."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from studiolo.bundle.catalogue import DEFAULT_ENCODER, DEFAULT_MODEL
from studiolo.bundle.landing import Report
from studiolo.bundle.pull import ensure
from studiolo.errors import InvalidRequestError
from studiolo.nn.tape import CACHED, Cached
from studiolo.task.embedding import EmbeddingModel, Text
from studiolo.task.text import LanguageModel

DEVICES = ("auto", "cpu", "cuda")
ARITHMETICS = ("auto", "packed", "float")


def load(
    name_or_path: str | os.PathLike[str] = DEFAULT_MODEL,
    *,
    device: str = "auto",
    arithmetic: str = "auto",
    kv_cache: Cached = "float32",
    accept_licence: bool = False,
    report: Report | None = None,
) -> LanguageModel:
    """Load a language model: a catalogue name, ``hf:owner/name``, or a path.

    ``device``: ``cpu``, ``cuda``, or ``auto`` (a GPU where there is one). ``arithmetic``:
    ``packed`` (exact integers on the file's own groups of bits, the same to the bit in any
    company; CPU only), ``float`` (float32 on a CPU, bfloat16 on a GPU; what can be trained), or
    ``auto`` (packed where it can be). ``kv_cache``: what packed arithmetic keeps keys and values
    as, ``float32`` or, in half the memory, ``bfloat16``. ``accept_licence``
    accepts terms that the model asks for; ``report`` is told how a pull goes on. Raises the
    errors of :func:`studiolo.bundle.pull.pull` and of the readers.
    """
    chosen = checked_device("cpu" if device == "auto" and arithmetic == "packed" else device)
    if arithmetic not in ARITHMETICS:
        raise InvalidRequestError(
            "arithmetic", f"must be one of {', '.join(ARITHMETICS)}, not {arithmetic!r}"
        )
    if arithmetic == "packed" and chosen.type != "cpu":
        raise InvalidRequestError("arithmetic", "packed integers run on a CPU, not on a GPU")
    packed = chosen.type == "cpu" and arithmetic != "float"
    cached = checked_cache(kv_cache, packed=packed)
    bundle = ensure(name_or_path, accept_licence=accept_licence, report=report)
    return LanguageModel.open(bundle, device=chosen, packed=packed, cached=cached)


def load_encoder(
    name_or_path: str | os.PathLike[str] = DEFAULT_ENCODER,
    *,
    device: str = "auto",
    accept_licence: bool = False,
    report: Report | None = None,
) -> EmbeddingModel:
    """Load a model that makes vectors of texts; everything else is as for :func:`load`."""
    chosen = checked_device(device)
    bundle = ensure(name_or_path, accept_licence=accept_licence, report=report)
    return EmbeddingModel.open(bundle, device=chosen)


def embed(
    texts: str | Sequence[Text],
    *,
    model: str | os.PathLike[str] = DEFAULT_ENCODER,
    truncate: bool = False,
    device: str = "auto",
    report: Callable[[int], None] = lambda done: None,
) -> Tensor:
    """One vector for each text: :meth:`EmbeddingModel.embed` of a model loaded for this call.

    Keep what :func:`load_encoder` gives where there are more texts to come.
    """
    return load_encoder(model, device=device).embed(texts, truncate=truncate, report=report)


def checked_cache(kv_cache: Cached, *, packed: bool) -> Cached:
    """What keys and values are kept as; raises :class:`InvalidRequestError` where it cannot be."""
    if kv_cache not in CACHED:
        raise InvalidRequestError(
            "kv_cache", f"must be one of {', '.join(CACHED)}, not {kv_cache!r}"
        )
    if kv_cache != "float32" and not packed:
        raise InvalidRequestError("kv_cache", "is for packed arithmetic alone; leave it out")
    return kv_cache


def checked_device(device: str) -> torch.device:
    """The device of that name; raises :class:`InvalidRequestError` if it is not here."""
    if device not in DEVICES:
        raise InvalidRequestError("device", f"must be one of {', '.join(DEVICES)}, not {device!r}")
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise InvalidRequestError(
            "device", "this PyTorch sees no CUDA GPU", remedy="`studiolo doctor` says what it sees."
        )
    return torch.device("cuda" if device != "cpu" and available else "cpu")
