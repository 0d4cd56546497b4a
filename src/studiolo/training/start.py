"""The model that a run goes on from: opened for its shape and tokenizer, read when it is trained.

Its weights are read as float32 with the values that they stand for, whatever the file keeps them
as. Deliberately unknown here: what is learnt.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from studiolo.bundle.layout import load_decoder
from studiolo.bundle.opening import OpenBundle
from studiolo.bundle.pull import ensure
from studiolo.modality.text.tokenizer import Tokenizer
from studiolo.nn.config import DecoderConfig
from studiolo.nn.decoder import Decoder


@dataclass(frozen=True)
class Start:
    """The parent."""

    opened: OpenBundle

    @property
    def name(self) -> str:
        """As people call it."""
        return self.opened.bundle.name

    @property
    def digest(self) -> str:
        """Of its files; hashed now if it is no installed one."""
        return self.opened.bundle.digest

    @property
    def licence(self) -> str:
        """Its licence, or ``unknown``."""
        installed = self.opened.bundle.installed
        return "unknown" if installed is None else installed.licence

    @property
    def config(self) -> DecoderConfig:
        """Its network."""
        return self.opened.config

    @property
    def tokenizer(self) -> Tokenizer:
        """Its tokenizer."""
        return self.opened.tokenizer

    def decoder(self, device: torch.device) -> Decoder:
        """Its network with its weights, float32, every one of which can be trained."""
        decoder = load_decoder(self.opened.checkpoint, dtype=torch.float32, device=device)
        return decoder.requires_grad_(True)


def read_start(model: str) -> Start:
    """Open the model of that name or path, fetched first if it is in the catalogue and not here.

    Raises what opening a model raises: it is not there, damaged, or no language model.
    """
    path = Path(model).expanduser()
    opened = OpenBundle.of(ensure(path if path.is_dir() else model))
    _ = opened.config
    return Start(opened)
