"""A tokenizer from the metadata of a GGUF file.

A GGUF holds no ``tokenizer.json``: it lists tokens, their types, and merges (``gpt2``)
or scores (``llama``) or neither (``t5``, see ``gguf_characters``), and *names* the
regular expression that cuts text into words (``tokenizer.ggml.pre``). The expressions here
are those of the models' own ``tokenizer.json`` files; a name that is not in the table is
refused, since a wrong cut gives plausible, wrong ids.

SentencePiece-style vocabularies carry no merges. Joining two pieces is allowed
whenever the joined piece is in the vocabulary, better pieces first, so every way of
cutting a token in two known pieces is a merge (Kudo and Richardson 2018; the rule by
which the models' own ``tokenizer.json`` files were made).

Deliberately unknown here: GGUF's bytes (values arrive read), and the model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.processors import TemplateProcessing

from studiolo.errors import MalformedFileError, UnsupportedModelError
from studiolo.modality.text.blueprint import END_OF_TURN, Blueprint, guarded
from studiolo.modality.text.gguf_characters import character_level, read_spelled

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)

_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN2 = _LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
_TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

PRE_TOKENIZERS: Mapping[str, str] = {
    "gpt-2": "gpt2",
    "smollm": "digits",
    "starcoder": "digits",
    "qwen2": _QWEN2,
    "deepseek-r1-qwen": _QWEN2,
    "llama-bpe": _LLAMA3,
    "llama3": _LLAMA3,
    "llama-v3": _LLAMA3,
    "smaug-bpe": _LLAMA3,  # what converters call SmolLM3's
    "tekken": _TEKKEN,  # Mistral NeMo and later
}
"""What cuts text into words, by ``tokenizer.ggml.pre``: GPT-2's own, that after setting
every digit apart, or an expression."""

WHOLE_WORDS_FIRST = frozenset({"llama-bpe", "llama3", "llama-v3", "tekken"})
"""Made from tiktoken tables: a word that is a token is that token, whatever the merges
say; and they start with BOS unless the file says otherwise."""


def read_metadata(metadata: Mapping[str, object]) -> Blueprint:
    """The tokenizer that a GGUF file's metadata describe.

    Raises :class:`MalformedFileError` where they contradict themselves,
    :class:`UnsupportedModelError` for what is not known.
    """
    model = metadata.get("tokenizer.ggml.model")
    if not isinstance(model, str):
        raise MalformedFileError("the file names no tokenizer (tokenizer.ggml.model)")
    if model not in ("gpt2", "llama", "t5"):
        raise UnsupportedModelError(
            f"the tokenizer kind {model!r} is not supported; those known are gpt2, llama and t5"
        )
    tokens = _strings(metadata, "tokens")
    if model == "t5":
        tokens = [read_spelled(token) for token in tokens]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    if len(vocabulary) != len(tokens) or not tokens:
        raise MalformedFileError(
            f"tokenizer.ggml.tokens holds {len(tokens) - len(vocabulary):,} tokens twice"
            if tokens
            else "tokenizer.ggml.tokens is empty"
        )
    types = _types(metadata, len(tokens))
    ids = {
        role: _token_id(metadata, f"{key}_token_id", len(tokens))
        for role, key in (
            ("bos", "bos"),
            ("eos", "eos"),
            ("eot", "eot"),
            ("eom", "eom"),
            ("unk", "unknown"),
            ("pad", "padding"),
        )
    }
    with guarded("the tokenizer in the file's metadata"):
        if model == "gpt2":
            backend = _byte_level(metadata, vocabulary, types)
        elif model == "t5":
            backend = character_level(vocabulary, ids["unk"])
        else:
            backend = _sentence_pieces(metadata, tokens, types, ids["unk"])
        _add_special(backend, tokens, types)
        _add_ends(backend, metadata, model, ids, tokens)
    if model == "t5" and ids["eos"] == ids["unk"]:
        ids["eos"] = None  # see gguf_characters
    ends = {ids["eos"], ids["eot"], ids["eom"]} | {
        vocabulary[text]
        for text in END_OF_TURN & vocabulary.keys()
        if types[vocabulary[text]] in (CONTROL, USER_DEFINED)
    }
    template = metadata.get("tokenizer.chat_template")
    return Blueprint(
        backend=backend,
        vocab_size=len(tokens),
        bos_id=ids["bos"],
        eos_ids=frozenset(end for end in ends if end is not None),
        pad_id=ids["pad"],
        chat_template=template if isinstance(template, str) and template else None,
        special={
            f"{role}_token": tokens[index]
            for role in ("bos", "eos", "unk", "pad")
            if (index := ids[role]) is not None
        },
    )


def _byte_level(
    metadata: Mapping[str, object], vocabulary: dict[str, int], types: Sequence[int]
) -> Tokenizer:
    pre = metadata.get("tokenizer.ggml.pre")
    if not isinstance(pre, str) or pre not in PRE_TOKENIZERS:
        raise UnsupportedModelError(
            f"the pre-tokenizer {pre!r} (tokenizer.ggml.pre) is not known; "
            f"those known are {', '.join(sorted(PRE_TOKENIZERS))}"
        )
    merges = []
    for merge in _strings(metadata, "merges"):
        left, space, right = merge.partition(" ")
        if not (left and space and right) or " " in right:
            raise MalformedFileError(f"the merge {merge!r} is not two tokens and a space")
        merges.append((left, right))
    used = {token: i for token, i in vocabulary.items() if types[i] != UNUSED}
    backend = Tokenizer(
        BPE(vocab=used, merges=merges, ignore_merges=pre in WHOLE_WORDS_FIRST, fuse_unk=False)
    )
    backend.pre_tokenizer = pre_tokenizer(pre, _flag(metadata, "add_space_prefix", False))
    backend.decoder = decoders.ByteLevel()
    return backend


def pre_tokenizer(pre: str, prefix: bool = False) -> pre_tokenizers.PreTokenizer:
    """What cuts text for the entry ``pre`` of :data:`PRE_TOKENIZERS`.

    ``prefix``: whether a space is put before the text.
    """
    cut = PRE_TOKENIZERS[pre]
    if cut in ("gpt2", "digits"):
        byte_level = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
        if cut == "gpt2":
            return byte_level
        return pre_tokenizers.Sequence([pre_tokenizers.Digits(True), byte_level])
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(cut), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=False),
        ]
    )


def _sentence_pieces(
    metadata: Mapping[str, object], tokens: list[str], types: Sequence[int], unknown: int | None
) -> Tokenizer:
    scores = metadata.get("tokenizer.ggml.scores")
    if not isinstance(scores, Sequence | np.ndarray) or len(scores) != len(tokens):
        raise MalformedFileError(
            "tokenizer.ggml.scores does not hold one score for each of the "
            f"{len(tokens):,} tokens of tokenizer.ggml.tokens"
        )
    # A run of spaces may be written as such; the pieces are made of the mark.
    pieces = [token if token.strip(" ") else "▁" * len(token) for token in tokens]
    vocabulary = {piece: i for i, piece in enumerate(pieces) if types[i] != UNUSED}
    # User-defined pieces carry no meaningful score and come before all learnt ones.
    learnt = np.asarray(types) != USER_DEFINED
    order = np.lexsort((-np.asarray(scores, dtype=np.float64), learnt)).tolist()
    joinable = {piece: i for piece, i in vocabulary.items() if types[i] in (NORMAL, USER_DEFINED)}
    backend = Tokenizer(
        BPE(
            vocab=vocabulary,
            merges=_merges(joinable, order),
            unk_token=None if unknown is None else pieces[unknown],
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    prefix = _flag(metadata, "add_space_prefix", True)
    escape = normalizers.Replace(" ", "▁")
    backend.normalizer = (
        normalizers.Sequence([normalizers.Prepend("▁"), escape]) if prefix else escape
    )
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    backend.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)] if prefix else steps)
    return backend


def _merges(vocabulary: Mapping[str, int], order: Sequence[int]) -> list[tuple[str, str]]:
    """Every cut of a piece into two known pieces: best piece first, longest left part first.

    ``order``: ids from the best piece to the worst.
    """
    pieces = {index: piece for piece, index in vocabulary.items()}
    return [
        (left, right)
        for index in order
        if (piece := pieces.get(index)) is not None
        for at in range(len(piece) - 1, 0, -1)
        if (left := piece[:at]) in vocabulary and (right := piece[at:]) in vocabulary
    ]


def _add_special(backend: Tokenizer, tokens: Sequence[str], types: Sequence[int]) -> None:
    def of(*wanted: int) -> list[AddedToken]:
        return [
            AddedToken(token, normalized=False, special=CONTROL in wanted)
            for token, kind in zip(tokens, types, strict=True)
            if kind in wanted and token.strip(" ")
        ]

    backend.add_special_tokens(of(CONTROL, UNKNOWN))
    backend.add_tokens(of(USER_DEFINED))


def _add_ends(
    backend: Tokenizer,
    metadata: Mapping[str, object],
    model: str,
    ids: Mapping[str, int | None],
    tokens: Sequence[str],
) -> None:
    bos_is_usual = model == "llama" or metadata.get("tokenizer.ggml.pre") in WHOLE_WORDS_FIRST
    wanted = {
        "bos": _flag(metadata, "add_bos_token", bos_is_usual),
        "eos": _flag(metadata, "add_eos_token", False),
    }
    used = {role: i for role, add in wanted.items() if add and (i := ids[role]) is not None}
    if used:
        parts = [f"<{role}>" if role in used else "" for role in ("bos", "eos")]
        backend.post_processor = TemplateProcessing(
            single=[part for part in (parts[0], "$A", parts[1]) if part],
            special_tokens=[(f"<{role}>", i) for role, i in used.items()],
        )


def _strings(metadata: Mapping[str, object], key: str) -> list[str]:
    values = metadata.get(f"tokenizer.ggml.{key}")
    if not isinstance(values, Sequence | np.ndarray) or isinstance(values, str):
        raise MalformedFileError(f"tokenizer.ggml.{key} is missing or not a list")
    strings = list(values)
    if not all(isinstance(value, str) for value in strings):
        raise MalformedFileError(f"tokenizer.ggml.{key} is not a list of strings")
    return strings


def _types(metadata: Mapping[str, object], count: int) -> list[int]:
    values = metadata.get("tokenizer.ggml.token_type")
    if values is None:
        return [NORMAL] * count
    if not isinstance(values, Sequence | np.ndarray) or len(values) != count:
        raise MalformedFileError(
            f"tokenizer.ggml.token_type does not hold one type for each of the {count:,} tokens"
        )
    listed = values.tolist() if isinstance(values, np.ndarray) else list(values)
    types = [value for value in listed if isinstance(value, int)]
    if len(types) != count or not set(types) <= set(range(7)):
        raise MalformedFileError("tokenizer.ggml.token_type holds a type that is not 0 … 6")
    return types


def _token_id(metadata: Mapping[str, object], key: str, count: int) -> int | None:
    value = metadata.get(f"tokenizer.ggml.{key}")
    if value is None:
        return None
    if isinstance(value, np.integer):
        value = value.item()
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < count:
        raise MalformedFileError(
            f"tokenizer.ggml.{key} is {value!r}, which is none of the {count:,} tokens"
        )
    return value


def _flag(metadata: Mapping[str, object], key: str, default: bool) -> bool:
    value = metadata.get(f"tokenizer.ggml.{key}", default)
    if not isinstance(value, bool | np.bool_):
        raise MalformedFileError(f"tokenizer.ggml.{key} is {value!r} and not true or false")
    return bool(value)
