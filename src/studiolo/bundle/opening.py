"""Open a bundle: its description, its tokenizer and its tensors, whichever its format.

Nothing heavy is read here; tensors come one by one when they are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from studiolo.bundle.checkpoint import Checkpoint
from studiolo.bundle.gguf import GGUFFile
from studiolo.bundle.gguf_names import gguf_checkpoint
from studiolo.bundle.huggingface import read_directory, write_directory
from studiolo.bundle.layout import ENCODERS, decoder_config, encoder_config
from studiolo.bundle.sentence_transformers import SentenceSettings, read_sentence_settings
from studiolo.bundle.store import Bundle, afresh
from studiolo.errors import MalformedFileError, UnsupportedModelError
from studiolo.modality.text.tokenizer import Tokenizer
from studiolo.nn.config import DecoderConfig, EncoderConfig


@contextmanager
def blaming(bundle: Bundle) -> Iterator[None]:
    """Let what is malformed in an installed bundle say how to replace it."""
    try:
        yield
    except MalformedFileError as error:
        if bundle.installed is None:
            raise
        raise MalformedFileError(error.message, remedy=afresh(bundle.name)) from error


@dataclass(frozen=True)
class OpenBundle:
    """A bundle whose headers have been read. ``gguf`` is None for the Hugging Face layout."""

    bundle: Bundle
    gguf: GGUFFile | None

    @classmethod
    def of(cls, bundle: Bundle) -> OpenBundle:
        """Read the headers; raises :class:`MalformedFileError` where they are broken."""
        with blaming(bundle):
            return cls(bundle, GGUFFile.open(bundle.weights) if bundle.weights else None)

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """Configuration and tensors in Hugging Face's terms."""
        return gguf_checkpoint(self.gguf) if self.gguf else read_directory(self.bundle.path)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The model's own tokenizer."""
        if self.gguf is not None:
            return Tokenizer.from_gguf(self.gguf.metadata)
        return Tokenizer.from_directory(self.bundle.path)

    @cached_property
    def config(self) -> DecoderConfig:
        """The network; raises :class:`UnsupportedModelError` if it is no decoder."""
        self._expect("autoregressive", "text")
        return decoder_config(self.checkpoint.config)

    @property
    def is_encoder(self) -> bool:
        """Whether the files describe an encoder, which makes one vector of a text."""
        return self.gguf is None and self.checkpoint.config.get("model_type") in ENCODERS

    @cached_property
    def sentence(self) -> SentenceSettings:
        """How an encoder's vectors become one; of a directory alone."""
        return read_sentence_settings(self.bundle.path)

    @cached_property
    def encoder_config(self) -> EncoderConfig:
        """The network; raises :class:`UnsupportedModelError` if it is no encoder."""
        self._expect("encoder", "embedding")
        if self.gguf is not None:
            raise UnsupportedModelError("encoders in GGUF files are not supported")
        return encoder_config(self.checkpoint.config, self.sentence)

    def _expect(self, family: str, modality: str) -> None:
        installed = self.bundle.installed
        if installed is not None and installed.family != family:
            raise UnsupportedModelError(
                f"{self.bundle.name} is of the family {installed.family!r} and makes "
                f"{installed.modality}, not {modality}",
                remedy="`studiolo models --all` says what each model is good for.",
            )

    def save(self, directory: Path) -> None:
        """Write the model as a Hugging Face directory that ``transformers`` loads.

        Quantised tensors are written as float32, with the values they stand for. Raises as
        :func:`write_directory`.
        """
        checkpoint = self.checkpoint
        write_directory(
            directory,
            checkpoint.config,
            ((name, checkpoint.tensor(name)) for name in checkpoint.names),
            tokenizer=self.tokenizer,
            generation=checkpoint.generation,
        )
