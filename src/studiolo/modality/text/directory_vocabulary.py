"""A tokenizer from a Hugging Face directory.

``tokenizer.json`` holds the whole algorithm and is read by the library; the small
files beside it say which tokens start, end and pad a text, and hold the chat
template. ``generation_config.json`` often lists more end tokens than the tokenizer's
own configuration: all of them count.

Deliberately unknown here: tokenizers without a ``tokenizer.json`` (a bare
SentencePiece model, a ``vocab.txt``), and Python code that a repository brings.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import tokenizers
from tokenizers.processors import TemplateProcessing

from studiolo.errors import MalformedFileError, UnsupportedModelError
from studiolo.modality.text.blueprint import END_OF_TURN, Blueprint, guarded

_ROLES = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")


def read_directory(path: Path) -> Blueprint:
    """The tokenizer in directory ``path``.

    Raises :class:`UnsupportedModelError` if there is no ``tokenizer.json`` and
    :class:`MalformedFileError` where the files are broken or contradict each other.
    """
    file = path / "tokenizer.json"
    if not file.is_file():
        raise UnsupportedModelError(
            f"{path} holds no tokenizer.json",
            remedy="Save the model with a current `transformers`, which writes one.",
        )
    with guarded(str(file)):
        backend = tokenizers.Tokenizer.from_file(str(file))
        added = backend.get_added_tokens_decoder()
        vocab_size = max(backend.get_vocab(with_added_tokens=True).values(), default=-1) + 1
    config = _json(path / "tokenizer_config.json")
    special = _special(_json(path / "special_tokens_map.json")) | _special(config)
    ids = {name: _id(backend, text, name) for name, text in special.items()}
    ends = _end_ids(_json(path / "generation_config.json"), vocab_size, path)
    ends |= {i for i, token in added.items() if token.content in END_OF_TURN}
    if (eos := ids.get("eos_token")) is not None:
        ends.add(eos)
    _restore_ends(backend, config, special, ids)
    return Blueprint(
        backend=backend,
        vocab_size=vocab_size,
        bos_id=ids.get("bos_token"),
        eos_ids=frozenset(ends),
        pad_id=ids.get("pad_token"),
        chat_template=_template(path, config),
        special=special,
    )


def _json(file: Path) -> dict[str, object]:
    if not file.is_file():
        return {}
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise MalformedFileError(f"{file} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise MalformedFileError(f"{file} holds {type(value).__name__} where an object belongs")
    return value


def _special(config: Mapping[str, object]) -> dict[str, str]:
    """Texts by role; a token is written as a string or as an object with ``content``."""
    found = {}
    for role in _ROLES:
        value = config.get(f"{role}_token")
        text = value.get("content") if isinstance(value, dict) else value
        if isinstance(text, str) and text:
            found[f"{role}_token"] = text
    return found


def _id(backend: tokenizers.Tokenizer, text: str, name: str) -> int | None:
    with guarded(name):
        return backend.token_to_id(text)


def _end_ids(generation: Mapping[str, object], vocab_size: int, path: Path) -> set[int]:
    value = generation.get("eos_token_id")
    ids = value if isinstance(value, list) else [] if value is None else [value]
    for end in ids:
        if not isinstance(end, int) or isinstance(end, bool) or end < 0:
            raise MalformedFileError(
                f"{path / 'generation_config.json'}: eos_token_id {end!r} is not a token id"
            )
    # An id past the vocabulary is a row that pads the model's table: it can be drawn.
    return set(ids)


def _restore_ends(
    backend: tokenizers.Tokenizer,
    config: Mapping[str, object],
    special: Mapping[str, str],
    ids: Mapping[str, int | None],
) -> None:
    """Let an explicit ``add_bos_token`` or ``add_eos_token`` overrule tokenizer.json."""
    if not any(isinstance(config.get(f"add_{role}_token"), bool) for role in ("bos", "eos")):
        return
    used = {
        role: i
        for role in ("bos", "eos")
        if config.get(f"add_{role}_token") is True and (i := ids.get(f"{role}_token")) is not None
    }
    names = {role: special[f"{role}_token"] for role in used}
    parts = [names.get("bos"), "$A", names.get("eos")]
    with guarded("add_bos_token"):
        backend.post_processor = TemplateProcessing(
            single=[part for part in parts if part],
            special_tokens=[(names[role], i) for role, i in used.items()],
        )


def _template(path: Path, config: Mapping[str, object]) -> str | None:
    file = path / "chat_template.jinja"
    if file.is_file():
        try:
            return file.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise MalformedFileError(f"{file} is not UTF-8 text: {error}") from error
    value = config.get("chat_template")
    if isinstance(value, list):  # several by name; "default" is the one for chatting
        named = {
            entry.get("name"): entry.get("template") for entry in value if isinstance(entry, dict)
        }
        value = named.get("default")
    return value if isinstance(value, str) and value else None
