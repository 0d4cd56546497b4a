"""From a name to a model that is ready to use, fetched first if it is not here."""

from __future__ import annotations

import os

import torch

from studiolo.bundle.catalogue import DEFAULT_MODEL
from studiolo.bundle.landing import Report
from studiolo.bundle.pull import ensure
from studiolo.errors import InvalidRequestError
from studiolo.task.text import LanguageModel

DEVICES = ("auto", "cpu", "cuda")


def load(
    name_or_path: str | os.PathLike[str] = DEFAULT_MODEL,
    *,
    device: str = "auto",
    accept_licence: bool = False,
    report: Report | None = None,
) -> LanguageModel:
    """Load a language model: a catalogue name, ``hf:owner/name``, or a path.

    ``device``: ``cpu``, ``cuda``, or ``auto`` (a GPU where there is one). ``accept_licence``
    accepts terms that the model asks for; ``report`` is told how a pull goes on. Raises the
    errors of :func:`studiolo.bundle.pull.pull` and of the readers.
    """
    chosen = checked_device(device)
    bundle = ensure(name_or_path, accept_licence=accept_licence, report=report)
    return LanguageModel.open(bundle, device=chosen)


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
