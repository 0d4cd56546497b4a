"""Token ids ⇄ text, exactly as the model's own tokenizer does it.

One class for every kind: byte-level BPE (GPT-2, SmolLM, Qwen, Llama 3), BPE over
SentencePiece pieces with byte fallback (Gemma, Llama 2, Mistral), WordPiece (BERT).
Encoding is the library ``tokenizers``; decoding is ours, token by token
(:mod:`studiolo.modality.text.spelling`), so that a stream and a whole text cannot
differ.

Notable choices:

- Text that looks like a control token is text. Only ``parse_special=True`` turns
  "<|im_end|>" into the token, and that is for chat templates, never for what a user
  wrote.
- Lone surrogates, which are not Unicode text and which no tokenizer takes, become
  U+FFFD before encoding. All else, control characters and NUL included, is kept.
- Truncation and padding settings in a file are ignored: both are the caller's.

Deliberately unknown here: models, prompts, the context's length.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from studiolo.errors import InvalidRequestError
from studiolo.modality.text.blueprint import Blueprint, guarded
from studiolo.modality.text.directory_vocabulary import read_directory
from studiolo.modality.text.gguf_vocabulary import read_metadata
from studiolo.modality.text.spelling import Speller, Spelling

_SURROGATE = re.compile("[\ud800-\udfff]")


class Tokenizer:
    """One model's tokenizer; immutable, and safe to share between threads.

    ``vocab_size`` counts the ids the file lists (the model's own table may be padded
    beyond it); ``bos_id`` and ``pad_id`` are ``None`` where there are none; ``eos_ids``
    holds *every* token that ends a text or a turn; ``adds_bos`` says whether
    ``encode`` puts ``bos_id`` first; ``special`` maps ``bos_token``, ``eos_token``, … to
    their texts, for chat templates; ``control_ids`` and ``control_texts`` are those of all
    control tokens.
    """

    def __init__(self, blueprint: Blueprint) -> None:
        backend = blueprint.backend
        self._backend = backend
        self._lock = threading.Lock()
        self.vocab_size = blueprint.vocab_size
        self.bos_id = blueprint.bos_id
        self.eos_ids = blueprint.eos_ids
        self.pad_id = blueprint.pad_id
        self.chat_template = blueprint.chat_template
        self.special: Mapping[str, str] = dict(blueprint.special)
        with guarded("the tokenizer"):
            backend.no_truncation()
            backend.no_padding()
            self._spelling = Spelling(backend)
            added = backend.get_added_tokens_decoder()
            self.control_ids = frozenset(i for i, token in added.items() if token.special)
            self.control_texts = frozenset(added[i].content for i in self.control_ids) - {""}
        start = self.encode("")
        self.adds_bos = self.bos_id is not None and start[:1] == [self.bos_id]

    @classmethod
    def from_directory(cls, path: Path) -> Tokenizer:
        """Read a Hugging Face directory.

        ``tokenizer.json`` must be there; ``tokenizer_config.json``,
        ``special_tokens_map.json``, ``generation_config.json`` and
        ``chat_template.jinja`` are read where they are. Raises
        :class:`MalformedFileError` and :class:`UnsupportedModelError`.
        """
        return cls(read_directory(path))

    @classmethod
    def from_gguf(cls, metadata: Mapping[str, object]) -> Tokenizer:
        """Build from a GGUF file's metadata, keyed by GGUF's names (``tokenizer.ggml.…``).

        Raises :class:`MalformedFileError` where the metadata contradict themselves and
        :class:`UnsupportedModelError` for a kind or pre-tokenizer that is not known.
        """
        return cls(read_metadata(metadata))

    def encode(
        self, text: str, *, add_special: bool = True, parse_special: bool = False
    ) -> list[int]:
        """Token ids of ``text``.

        ``add_special``: put the model's own start (and end) tokens around it, if it
        has any. ``parse_special``: read control tokens written in the text as such.
        """
        clean = _SURROGATE.sub("\ufffd", text)
        # The switch is a property of the shared object, hence the lock.
        with self._lock, guarded("the tokenizer could not encode the text"):
            self._backend.encode_special_tokens = not parse_special
            return list(self._backend.encode(clean, add_special_tokens=add_special).ids)

    def decode(self, ids: Sequence[int], *, skip_special: bool = True) -> str:
        """The text of ``ids``; invalid UTF-8 becomes U+FFFD, ids past the vocabulary nothing.

        ``skip_special``: leave control tokens out.
        """
        speller = self.speller(skip_special=skip_special)
        return b"".join([speller.feed(token_id) for token_id in ids]).decode("utf-8", "replace")

    def speller(self, *, skip_special: bool = True) -> Speller:
        """A walk along one text, token by token, for streams."""
        return Speller(self._spelling, self.control_ids if skip_special else frozenset())

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes that a token stands for in the middle of a text."""
        if not 0 <= token_id < self.vocab_size:
            raise InvalidRequestError(
                "token_id", f"{token_id} is not in 0 … {self.vocab_size - 1:,}"
            )
        return self._spelling.bytes_of(token_id, first=False)

    def token_text(self, token_id: int) -> str:
        """A token for people to read: bytes that are no whole character show as ``<0xE2>``."""
        text = self.token_bytes(token_id).decode("utf-8", "surrogateescape")
        return _SURROGATE.sub(lambda match: f"<0x{ord(match[0]) - 0xDC00:02X}>", text)

    def to_json(self) -> str:
        """The content of ``tokenizer.json``."""
        with self._lock, guarded("the tokenizer could not be saved"):
            self._backend.encode_special_tokens = False
            return str(self._backend.to_str())

    def save(self, directory: Path) -> None:
        """Write ``tokenizer.json`` and its companions, as ``transformers`` reads them."""
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "tokenizer.json").write_text(self.to_json(), encoding="utf-8")
        config: dict[str, object] = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "clean_up_tokenization_spaces": False,
            **self.special,
        }
        (directory / "tokenizer_config.json").write_text(
            json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        if self.chat_template is not None:
            (directory / "chat_template.jinja").write_text(self.chat_template, encoding="utf-8")

    def facts(self) -> dict[str, object]:
        """What ``inspect`` shows: kind, sizes, special tokens, whether there is a chat template."""
        return {
            "kind": self._spelling.kind,
            "vocab_size": self.vocab_size,
            "special_tokens": dict(self.special),
            "end_tokens": {i: self.token_text(i) for i in sorted(self.eos_ids)},
            "adds_bos": self.adds_bos,
            "chat_template": self.chat_template is not None,
        }
