"""How one vector is made of a text: the small files that sentence-transformers puts beside a model.

``modules.json`` lists the stages (a transformer, a pooling, perhaps a normalisation), each
stage's folder holds its settings, ``sentence_bert_config.json`` or the tokenizer's own
settings the longest input (https://sbert.net, "Save Sentence Transformer models"). Two
spellings are read, that of version 2 and that of version 6.

Notable choices: a stage or a setting that is not known here is an error, never ignored; a
directory without ``modules.json`` is a plain encoder, and gets the mean of all tokens, scaled
to length 1. Deliberately unknown here: the network itself (``bundle/layout``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from studiolo.bundle.huggingface import read_json, read_json_value
from studiolo.errors import MalformedFileError, UnsupportedModelError

Pooling = Literal["mean", "cls", "max"]

_POOLINGS: Mapping[object, Pooling] = {"mean": "mean", "cls": "cls", "max": "max"}
_FLAG = "pooling_mode_"
_FLAGS = {
    "cls_token": "cls",
    "max_tokens": "max",
    "mean_tokens": "mean",
    "mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "weightedmean_tokens": "weightedmean",
    "lasttoken": "lasttoken",
}
_FOLDER = re.compile(r"[0-9]{1,3}_[A-Za-z]{1,64}")
_TRANSFORMER_FILES = tuple(
    f"sentence_{kind}_config.json" for kind in ("bert", "roberta", "distilbert", "xlm-roberta")
)
# Settings of the transformer stage and the values that change nothing; None always may stand.
_HARMLESS: Mapping[str, tuple[object, ...]] = {
    "do_lower_case": (False,),
    "transformer_task": ("feature-extraction",),
    "module_output_name": ("token_embeddings",),
    "modality_config": (
        {"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
    ),
    "processing_kwargs": ({},),
    "unpad_inputs": (True, False),
    "query_length": (),
    "document_length": (),
    "query_expansion": (),
}


@dataclass(frozen=True)
class SentenceSettings:
    """``width``: the size of the vectors, where the files say it. ``max_tokens``: the longest
    input as set for this use; ``tokenizer_tokens``: as the tokenizer is set, if it is."""

    pooling: Pooling = "mean"
    normalise: bool = True
    width: int | None = None
    max_tokens: int | None = None
    tokenizer_tokens: int | None = None


def read_sentence_settings(path: Path) -> SentenceSettings:
    """The settings in the directory ``path``.

    Raises :class:`MalformedFileError` for what cannot be and :class:`UnsupportedModelError`
    for stages and settings that are not supported.
    """
    tokens = _tokenizer_tokens(path / "tokenizer_config.json")
    if not (path / "modules.json").is_file():
        return SentenceSettings(tokenizer_tokens=tokens)
    stages = _stages(path / "modules.json")
    names = [name for name, _ in stages]
    if names not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise UnsupportedModelError(
            f"{path / 'modules.json'}: the stages {', '.join(names) or '(none)'} are not supported",
            remedy="Supported: Transformer, Pooling and perhaps Normalize, in this order.",
        )
    if stages[0][1]:
        raise UnsupportedModelError(f"{path}: a transformer in a folder of its own")
    _check_prompts(path / "config_sentence_transformers.json")
    for _, folder in stages[2:]:
        _check_normalisation(path / folder / "config.json")
    pooling, width = _pooling(path / stages[1][1] / "config.json")
    longest = _longest(path)
    return SentenceSettings(pooling, len(stages) == 3, width, longest, tokens)


def _stages(file: Path) -> list[tuple[str, str]]:
    """Class and folder of each stage."""
    value = read_json_value(file)
    if not isinstance(value, list):
        raise MalformedFileError(f"{file}: a {type(value).__name__}, not a list of stages")
    stages = []
    for stage in value:
        kind, folder = (
            (stage.get("type"), stage.get("path")) if isinstance(stage, dict) else (None, None)
        )
        if not isinstance(kind, str) or not isinstance(folder, str):
            raise MalformedFileError(f"{file}: a stage without type or path")
        if stage.get("kwargs"):
            raise UnsupportedModelError(f"{file}: a stage with arguments, {stage['kwargs']}")
        if folder and not _FOLDER.fullmatch(folder):
            raise MalformedFileError(f"{file}: {folder[:80]!r} is no folder of a stage")
        own = kind.startswith("sentence_transformers.")
        stages.append((kind.rpartition(".")[2] if own else kind, folder))
    return stages


def _pooling(file: Path) -> tuple[Pooling, int | None]:
    """How vectors are pooled, and their size where it is said."""
    config = dict(read_json(file))
    config.pop("include_prompt", None)  # there are no prompts
    width = config.pop("word_embedding_dimension", None)
    width = config.pop("embedding_dimension", width)
    flags = {name: config.pop(_FLAG + name) for name in _FLAGS if _FLAG + name in config}
    modes = config.pop("pooling_mode", None)
    if modes is None:
        modes = [_FLAGS[name] for name, on in flags.items() if on] or ["mean"]
    if isinstance(modes, list) and len(modes) == 1:
        modes = modes[0]
    if config:
        raise UnsupportedModelError(f"{file}: {next(iter(config))!r} is not supported")
    if not isinstance(modes, str) or modes not in _POOLINGS:
        raise UnsupportedModelError(
            f"{file}: pooling by {modes!r} is not supported",
            remedy=f"Supported: one of {', '.join(map(str, _POOLINGS))}.",
        )
    return _POOLINGS[modes], None if width is None else _count(file, width)


def _longest(path: Path) -> int | None:
    """The longest input, in tokens, if the transformer's stage says it."""
    file = next((path / name for name in _TRANSFORMER_FILES if (path / name).is_file()), None)
    if file is None:
        return None
    config = dict(read_json(file))
    longest = config.pop("max_seq_length", None)
    for name, value in config.items():
        known = name in _HARMLESS and (value is None or value in _HARMLESS[name])
        if not known:
            raise UnsupportedModelError(f"{file}: {name} = {str(value)[:80]} is not supported")
    return None if longest is None else _count(file, longest)


def _tokenizer_tokens(file: Path) -> int | None:
    """The longest input that the tokenizer is set to; a huge number there means none."""
    longest = read_json(file).get("model_max_length") if file.is_file() else None
    if isinstance(longest, float) and longest >= 2**31:
        return None
    return None if longest is None else _count(file, longest)


def _check_prompts(file: Path) -> None:
    """Refuse a text that is put before every input, and models of other kinds."""
    config = read_json(file) if file.is_file() else {}
    if config.get("default_prompt_name") is not None:
        raise UnsupportedModelError(f"{file}: a default prompt is not supported")
    kind = config.get("model_type", "SentenceTransformer")
    if kind != "SentenceTransformer":
        raise UnsupportedModelError(f"{file}: model_type {kind!r} is not supported")


def _check_normalisation(file: Path) -> None:
    """Refuse a normalisation of anything but the pooled vector."""
    config = read_json(file) if file.is_file() else {}
    for name, value in config.items():
        if value != "sentence_embedding":
            raise UnsupportedModelError(f"{file}: {name} = {str(value)[:80]} is not supported")


def _count(file: Path, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise MalformedFileError(f"{file}: {str(value)[:80]!r} is no number of tokens or sizes")
    return value
