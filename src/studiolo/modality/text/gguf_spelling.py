"""A tokenizer as the metadata of a GGUF file: what ``gguf_vocabulary`` reads, written.

Three kinds can be said there: byte-level BPE (``gpt2``), SentencePiece-style BPE (``llama``, with
scores from which the same merges follow) and single characters (``t5``). Notable choice: what was
written is read again and must be the same tokenizer, piece for piece and merge for merge, or else
it is refused; a tokenizer that is nearly the same gives plausible, wrong ids.

One rule is left out, as llama.cpp's own converter does: Unicode's composition (NFC) before a
byte-level vocabulary. Deliberately unknown here: GGUF's bytes, and the model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from studiolo.errors import UnsupportedModelError
from studiolo.modality.text.blueprint import END_OF_TURN
from studiolo.modality.text.gguf_characters import spelled
from studiolo.modality.text.gguf_vocabulary import (
    BYTE,
    CONTROL,
    NORMAL,
    PRE_TOKENIZERS,
    UNKNOWN,
    UNUSED,
    USER_DEFINED,
    WHOLE_WORDS_FIRST,
    pre_tokenizer,
    read_metadata,
)
from studiolo.modality.text.spelling import byte_alphabet
from studiolo.modality.text.tokenizer import Tokenizer

_CUT_AT_SPACES = {
    "type": "Split",
    "pattern": {"String": " "},
    "behavior": "MergedWithPrevious",
    "invert": False,
}
"""What Gemma's file has after every space has become a mark: there is none to cut at."""


def gguf_metadata(tokenizer: Tokenizer, rows: int) -> dict[str, object]:
    """The entries ``tokenizer.…`` for a model whose table has ``rows`` rows, one for each token.

    Rows without a token get one that is marked as unused. Raises :class:`UnsupportedModelError`
    for a tokenizer that a GGUF cannot hold, or that has more tokens than ``rows``.
    """
    given = json.loads(tokenizer.to_json())
    kind = _kind(given)
    texts = {**given["model"]["vocab"], **_added(given)}
    if tokenizer.vocab_size > rows or (kind == "t5" and tokenizer.vocab_size < rows):
        _refuse(f"it has {tokenizer.vocab_size:,} tokens, and the model's table {rows:,} rows")
    tokens = [f"[PAD{i}]" for i in range(rows)]
    types = [UNUSED] * rows
    for text, i in texts.items():
        tokens[i], types[i] = text, NORMAL
    if kind == "t5":
        tokens = [spelled(token) for token in tokens]
    said: dict[str, object] = {"model": kind, "pre": "default", "tokens": tokens}
    if kind == "gpt2":
        said["pre"] = _pre(given)
        said["merges"] = [" ".join(pair) for pair in given["model"]["merges"]]
    if kind == "llama":
        said["scores"] = _scores(given, tokens)
        said["add_space_prefix"] = "Prepend" in json.dumps(given["normalizer"])
        for i, token in enumerate(tokens):
            if len(token) == 6 and token.startswith("<0x"):
                types[i] = BYTE
    for token in given["added_tokens"]:
        types[token["id"]] = CONTROL if token["special"] else USER_DEFINED
    if kind == "t5":
        said["scores"] = [0.0] * rows
        said["add_space_prefix"] = said["remove_extra_whitespaces"] = False
    unknown = texts.get(given["model"].get("unk_token"))
    if kind != "gpt2" and unknown is not None:
        said["unknown_token_id"], types[unknown] = unknown, UNKNOWN
    said["token_type"] = types
    said |= _ends(tokenizer, tokens, types, unknown if kind == "t5" else None)
    metadata = {f"tokenizer.ggml.{key}": value for key, value in said.items()}
    if tokenizer.chat_template is not None:
        metadata["tokenizer.chat_template"] = tokenizer.chat_template
    _check(given, json.loads(Tokenizer(read_metadata(metadata)).to_json()), kind)
    return metadata


def _refuse(why: str) -> NoReturn:
    raise UnsupportedModelError(
        f"the tokenizer cannot be written as GGUF: {why}",
        remedy="A GGUF holds byte-level BPE, SentencePiece-style BPE, or single characters.",
    )


def _added(given: Mapping[str, Any]) -> dict[str, int]:
    return {token["content"]: token["id"] for token in given["added_tokens"]}


def _kind(given: Mapping[str, Any]) -> str:
    """How llama.cpp calls it."""
    model = given["model"]
    if model["type"] != "BPE":
        _refuse(f"its model is {model['type']}")
    for token in given["added_tokens"]:
        if token["lstrip"] or token["rstrip"] or token["single_word"]:
            _refuse(f"its token {token['content']!r} takes spaces beside it, or whole words only")
    if model["byte_fallback"]:
        return "llama"
    if not model["merges"] and given["pre_tokenizer"] is None and not given["added_tokens"]:
        if model["unk_token"] is None:
            _refuse("it has no token for a character that it does not know")
        return "t5"
    return "gpt2"


def _pre(given: Mapping[str, Any]) -> str:
    """The name of what cuts text into words."""
    wanted = _plain(given["pre_tokenizer"])
    whole = bool(given["model"]["ignore_merges"])
    for name in PRE_TOKENIZERS:
        known = _plain(json.loads(pre_tokenizer(name).__getstate__()))
        if wanted == known and whole == (name in WHOLE_WORDS_FIRST):
            return name
    _refuse("what cuts text into words is none of those that llama.cpp has by name")


def _scores(given: Mapping[str, Any], tokens: Sequence[str]) -> list[float]:
    """Scores that let the pieces be joined in the order of the merges: the first is the best."""
    ranks: dict[str, int] = {}
    for left, right in given["model"]["merges"]:
        ranks.setdefault(left + right, len(ranks))
    return [-float(ranks.get(token, len(ranks))) for token in tokens]


def _ends(
    tokenizer: Tokenizer, tokens: Sequence[str], types: Sequence[int], otherwise: int | None
) -> dict[str, object]:
    """Special tokens, and whether a text is given them; ``otherwise``: an end for want of one."""
    said: dict[str, object] = {}
    ends = sorted(i for i in tokenizer.eos_ids if i < len(tokens))
    named = tokenizer.special.get("eos_token")
    first = next((i for i in ends if tokens[i] == named), ends[0] if ends else otherwise)
    if first is None:
        _refuse("it has no token that ends a text, for which llama.cpp would then take another")
    known = {
        i for i in ends if tokens[i] in END_OF_TURN and types[i] in (CONTROL, USER_DEFINED)
    } | {first}
    rest = [i for i in ends if i not in known]
    if len(rest) > 2:
        _refuse(f"{len(ends)} tokens of it end a text, of which a file can name three")
    roles = {"bos": tokenizer.bos_id, "eos": first, "padding": tokenizer.pad_id}
    roles |= dict(zip(("eot", "eom"), rest, strict=False))
    said |= {f"{role}_token_id": i for role, i in roles.items() if i is not None}
    around = tokenizer.encode("")
    said["add_bos_token"], said["add_eos_token"] = tokenizer.adds_bos, False
    if around[tokenizer.adds_bos :] == [first]:
        said["add_eos_token"] = True
    elif around[tokenizer.adds_bos :]:
        _refuse("it puts more around a text than a start and an end")
    return said


def _check(given: Mapping[str, Any], written: Mapping[str, Any], kind: str) -> None:
    """Refuse ``given`` if what came of it is another tokenizer."""
    wanted, found = _essence(given, kind), _essence(written, kind)
    for part, value in wanted.items():
        if value != found[part]:
            _refuse(f"its {part} cannot be said there")


def _essence(given: Mapping[str, Any], kind: str) -> dict[str, object]:
    """What decides ids and texts, by what it is."""
    model, normaliser, cut = given["model"], given["normalizer"], _plain(given["pre_tokenizer"])
    texts = {**model["vocab"], **_added(given)}
    complete = kind == "gpt2" and byte_alphabet().keys() <= texts.keys()
    return {
        "vocabulary": texts,
        "order of merges": [tuple(pair) for pair in model["merges"]],
        "token for what is unknown": None if complete else model["unk_token"],
        "way of joining pieces": (
            model["ignore_merges"],
            model["byte_fallback"],
            model["continuing_subword_prefix"] or "",
            model["end_of_word_suffix"] or "",
            model["dropout"],
        ),
        "normaliser": None if kind == "gpt2" and _is(normaliser, "NFC") else normaliser,
        "cutting into words": None if kind == "llama" and cut == _CUT_AT_SPACES else cut,
        "decoder": "ByteLevel" if _is(given["decoder"], "ByteLevel") else given["decoder"],
    }


def _is(part: Any, kind: str) -> bool:
    return part is not None and part["type"] == kind


def _plain(part: Any) -> Any:
    """A part of ``tokenizer.json`` without what changes no id and no text."""
    if isinstance(part, list):
        return [_plain(each) for each in part]
    if not isinstance(part, dict):
        return part
    if part.get("type") == "Sequence" and len(part) == 2:
        (inner,) = (value for key, value in part.items() if key != "type")
        if len(inner) == 1:
            return _plain(inner[0])
    return {key: _plain(value) for key, value in part.items() if key != "trim_offsets"}
