"""Both spellings of sentence-transformers' files are read; what is not known is refused by name."""

from __future__ import annotations

import contextlib
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studiolo.bundle.sentence_transformers import SentenceSettings, read_sentence_settings
from studiolo.errors import MalformedFileError, StudioloError, UnsupportedModelError

OLD: dict[str, Any] = {
    "modules.json": [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {
            "idx": 1,
            "name": "1",
            "path": "1_Pooling",
            "type": "sentence_transformers.models.Pooling",
        },
        {
            "idx": 2,
            "name": "2",
            "path": "2_Normalize",
            "type": "sentence_transformers.models.Normalize",
        },
    ],
    "1_Pooling/config.json": {
        "word_embedding_dimension": 384,
        "pooling_mode_cls_token": False,
        "pooling_mode_mean_tokens": True,
        "pooling_mode_max_tokens": False,
        "pooling_mode_mean_sqrt_len_tokens": False,
    },
    "sentence_bert_config.json": {"max_seq_length": 256, "do_lower_case": False},
    "config_sentence_transformers.json": {"__version__": {"pytorch": "1.8.1"}},
    "tokenizer_config.json": {"model_max_length": 512},
}
NEW: dict[str, Any] = {
    "modules.json": [
        {
            "idx": 0,
            "name": "0",
            "path": "",
            "type": "sentence_transformers.base.modules.transformer.Transformer",
        },
        {
            "idx": 1,
            "name": "1",
            "path": "1_Pooling",
            "type": "sentence_transformers.sentence_transformer.modules.pooling.Pooling",
        },
        {
            "idx": 2,
            "name": "2",
            "path": "2_Normalize",
            "type": "sentence_transformers.base.modules.normalize.Normalize",
        },
    ],
    "1_Pooling/config.json": {
        "embedding_dimension": 384,
        "pooling_mode": "mean",
        "include_prompt": True,
    },
    "2_Normalize/config.json": {
        "module_input_name": "sentence_embedding",
        "module_output_name": "sentence_embedding",
    },
    "sentence_bert_config.json": {
        "transformer_task": "feature-extraction",
        "modality_config": {
            "text": {"method": "forward", "method_output_name": "last_hidden_state"}
        },
        "module_output_name": "token_embeddings",
    },
    "config_sentence_transformers.json": {
        "default_prompt_name": None,
        "model_type": "SentenceTransformer",
        "prompts": {"query": "", "document": ""},
        "similarity_fn_name": "cosine",
    },
    "tokenizer_config.json": {"model_max_length": 256},
}


def written(root: Path, files: dict[str, Any]) -> Path:
    for name, value in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(json.dumps(value), encoding="utf-8")
    return root


def test_the_old_and_the_new_spelling(tmp_path: Path) -> None:
    old = read_sentence_settings(written(tmp_path / "old", OLD))
    new = read_sentence_settings(written(tmp_path / "new", NEW))
    assert old == SentenceSettings("mean", True, 384, 256, 512)
    assert new == SentenceSettings("mean", True, 384, None, 256)


def test_a_plain_directory_gets_the_normalised_mean(tmp_path: Path) -> None:
    assert read_sentence_settings(tmp_path) == SentenceSettings("mean", True, None, None, None)
    written(tmp_path, {"tokenizer_config.json": {"model_max_length": 1e30}})
    assert read_sentence_settings(tmp_path).tokenizer_tokens is None


def test_without_the_last_stage_nothing_is_normalised(tmp_path: Path) -> None:
    files = {**OLD, "modules.json": OLD["modules.json"][:2]}
    assert read_sentence_settings(written(tmp_path, files)).normalise is False


@pytest.mark.parametrize("mode", ["mean", "cls", "max"])
def test_each_pooling(tmp_path: Path, mode: str) -> None:
    flag = {"mean": "mean_tokens", "cls": "cls_token", "max": "max_tokens"}[mode]
    for name, config in {
        "flag": {f"pooling_mode_{flag}": True},
        "word": {"pooling_mode": mode},
        "list": {"pooling_mode": [mode]},
    }.items():
        files = {**OLD, "1_Pooling/config.json": config}
        assert read_sentence_settings(written(tmp_path / name, files)).pooling == mode


def stages(*changes: dict[str, Any]) -> list[dict[str, Any]]:
    return [{**stage, **change} for stage, change in zip(OLD["modules.json"], changes, strict=True)]


DENSE = {"idx": 3, "name": "3", "path": "3_Dense", "type": "sentence_transformers.models.Dense"}


@pytest.mark.parametrize(
    ("file", "value", "error", "message"),
    [
        ("modules.json", {}, MalformedFileError, "not a list"),
        ("modules.json", [5], MalformedFileError, "without type or path"),
        ("modules.json", [], UnsupportedModelError, r"\(none\)"),
        ("modules.json", [*OLD["modules.json"], DENSE], UnsupportedModelError, "Dense"),
        ("modules.json", OLD["modules.json"][::-1], UnsupportedModelError, "not supported"),
        (
            "modules.json",
            stages({"type": "mine.Transformer"}, {}, {}),
            UnsupportedModelError,
            "mine",
        ),
        (
            "modules.json",
            stages({"path": "0_Transformer"}, {}, {}),
            UnsupportedModelError,
            "folder",
        ),
        ("modules.json", stages({}, {"path": "../x"}, {}), MalformedFileError, r"'\.\./x'"),
        ("modules.json", stages({"kwargs": ["task"]}, {}, {}), UnsupportedModelError, "task"),
        (
            "1_Pooling/config.json",
            {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True},
            UnsupportedModelError,
            "cls",
        ),
        (
            "1_Pooling/config.json",
            {"pooling_mode": "lasttoken"},
            UnsupportedModelError,
            "lasttoken",
        ),
        ("1_Pooling/config.json", {"weighting": 2}, UnsupportedModelError, "'weighting'"),
        ("1_Pooling/config.json", {"embedding_dimension": "x"}, MalformedFileError, "'x'"),
        (
            "2_Normalize/config.json",
            {"module_input_name": "tokens"},
            UnsupportedModelError,
            "tokens",
        ),
        (
            "sentence_bert_config.json",
            {"do_lower_case": True},
            UnsupportedModelError,
            "do_lower_case",
        ),
        ("sentence_bert_config.json", {"query_length": 32}, UnsupportedModelError, "query_length"),
        ("sentence_bert_config.json", {"new_setting": 1}, UnsupportedModelError, "new_setting"),
        ("sentence_bert_config.json", {"max_seq_length": 0}, MalformedFileError, "'0'"),
        ("sentence_bert_config.json", {"max_seq_length": True}, MalformedFileError, "'True'"),
        (
            "config_sentence_transformers.json",
            {"prompts": {"query": "query: "}, "default_prompt_name": "query"},
            UnsupportedModelError,
            "default prompt",
        ),
        (
            "config_sentence_transformers.json",
            {"model_type": "SparseEncoder"},
            UnsupportedModelError,
            "SparseEncoder",
        ),
        ("tokenizer_config.json", {"model_max_length": "long"}, MalformedFileError, "'long'"),
    ],
)
def test_what_is_not_supported_is_named(
    tmp_path: Path, file: str, value: Any, error: type[StudioloError], message: str
) -> None:
    with pytest.raises(error, match=message):
        read_sentence_settings(written(tmp_path, {**OLD, file: value}))


def test_a_missing_pooling_file_is_named(tmp_path: Path) -> None:
    files = {name: value for name, value in OLD.items() if "Pooling" not in name}
    with pytest.raises(MalformedFileError, match=r"1_Pooling/config\.json: the file is missing"):
        read_sentence_settings(written(tmp_path, files))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(
    base=st.sampled_from([OLD, NEW]),
    file=st.sampled_from(sorted({*OLD, *NEW})),
    value=JSON,
    key=st.none() | st.sampled_from(sorted({k for f in (OLD, NEW) for v in f.values() for k in v
                                            if isinstance(k, str)})),
    place=st.integers(0, 2),
    field=st.sampled_from(["type", "path", "kwargs", "idx"]),
)  # fmt: skip
def test_no_file_raises_anything_but_a_named_error(
    base: dict[str, Any], file: str, value: Any, key: str | None, place: int, field: str
) -> None:
    changed: Any = value
    if file == "modules.json" and key is not None:
        changed = [dict(stage) for stage in base[file]]
        changed[place][field] = value
    elif key is not None:
        changed = {**base.get(file, {}), key: value}
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(StudioloError):
        made = read_sentence_settings(written(Path(folder), {**base, file: changed}))
        assert made.pooling in ("mean", "cls", "max")
