"""What every source of a tokenizer boils down to, and the guard around the library.

A tokenizer is read from a GGUF file's metadata or from a Hugging Face directory;
both readers return a :class:`Blueprint`, from which
:class:`studiolo.modality.text.tokenizer.Tokenizer` is made. The Rust library
``tokenizers`` raises bare ``Exception`` and, on some malformed input, panics with
an exception that is not even an ``Exception``: :func:`guarded` turns both into a
named error.

Deliberately unknown here: the layout of any file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import tokenizers

from studiolo.errors import MalformedFileError, StudioloError

END_OF_TURN = frozenset(
    {
        "<|im_end|>",
        "<|endoftext|>",
        "<|end_of_text|>",
        "<|eot_id|>",
        "<|eom_id|>",
        "<end_of_turn>",
        "<|end|>",
        "<|return|>",
        "<|call|>",
        "<end_of_utterance>",
        "<EOT>",
        "<turn|>",
    }
)
"""Texts of tokens that end a turn in known chat formats.

A file often names one end token where its chat template ends turns with another.
The list is llama.cpp's (``special_eog_ids``) less two sorts: ``</s>`` and ``<eos>``,
which the file names itself where it means them and which elsewhere are ordinary
text (``</s>`` is an HTML tag in Gemma's vocabulary), and the fill-in-the-middle
separators, which end a file and not an answer.
"""


@dataclass(frozen=True)
class Blueprint:
    """A tokenizer as read. Ids are in ``range(vocab_size)``; ``None`` where there is none."""

    backend: tokenizers.Tokenizer
    vocab_size: int
    bos_id: int | None = None
    eos_ids: frozenset[int] = frozenset()
    pad_id: int | None = None
    chat_template: str | None = None
    special: Mapping[str, str] = field(default_factory=dict)
    """``bos_token``, ``eos_token``, …: the text of each, as chat templates use them."""


@contextmanager
def guarded(what: str) -> Iterator[None]:
    """Turn whatever the library raises into :class:`MalformedFileError` about ``what``."""
    try:
        yield
    except StudioloError:
        raise
    except Exception as error:
        raise MalformedFileError(f"{what}: {error}") from error
    except BaseException as error:
        # A Rust panic arrives as pyo3's PanicException, a class that cannot be imported.
        if type(error).__name__ != "PanicException":
            raise
        raise MalformedFileError(f"{what}: {error}") from error
