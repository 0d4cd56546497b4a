from __future__ import annotations

import contextlib
import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studiolo.errors import MalformedFileError, StudioloError, UnsupportedModelError
from studiolo.modality.text.tokenizer import Tokenizer
from tests.modality.text import small


def write(folder: Path, **files: object) -> Path:
    folder.mkdir(exist_ok=True)
    for name, content in ({"tokenizer": small.WORD_PIECE} | files).items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def test_word_pieces_and_their_ends(tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_directory(write(tmp_path))
    ids = tokenizer.encode("Playing plays. zzz")
    assert ids == [2, 4, 5, 4, 6, 7, 1, 3]  # and the file's truncation to four is not applied
    assert tokenizer.decode(ids) == "playing plays."
    assert tokenizer.facts()["kind"] == "WordPiece"


def test_without_a_tokenizer_json(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match=r"no tokenizer\.json"):
        Tokenizer.from_directory(tmp_path)


def test_ends_come_from_every_file(tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_directory(
        write(
            tmp_path,
            tokenizer_config={"eos_token": {"content": "[SEP]"}, "pad_token": "[PAD]"},
            generation_config={"eos_token_id": [0, 2]},
        )
    )
    assert tokenizer.eos_ids == {0, 2, 3}
    assert tokenizer.pad_id == 0
    assert tokenizer.special == {"eos_token": "[SEP]", "pad_token": "[PAD]"}


def test_an_explicit_add_bos_token_overrules_the_post_processor(tmp_path: Path) -> None:
    config = {"bos_token": "[CLS]", "add_bos_token": True, "add_eos_token": False}
    tokenizer = Tokenizer.from_directory(write(tmp_path, tokenizer_config=config))
    assert tokenizer.encode("play") == [2, 4]
    assert tokenizer.adds_bos


def test_chat_templates(tmp_path: Path) -> None:
    named = [{"name": "rag", "template": "r"}, {"name": "default", "template": "d"}]
    folder = write(tmp_path, tokenizer_config={"chat_template": named})
    assert Tokenizer.from_directory(folder).chat_template == "d"
    (folder / "chat_template.jinja").write_text("from the file")
    assert Tokenizer.from_directory(folder).chat_template == "from the file"


@pytest.mark.parametrize("name", ["tokenizer", "tokenizer_config", "generation_config"])
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b"3"])
def test_broken_files_are_named(tmp_path: Path, name: str, content: bytes) -> None:
    folder = write(tmp_path)
    (folder / f"{name}.json").write_bytes(content)
    with pytest.raises(MalformedFileError, match=name):
        Tokenizer.from_directory(folder)


def test_an_end_that_is_no_id(tmp_path: Path) -> None:
    for end in (-1, "x", [True], 1.5):
        folder = write(tmp_path, generation_config={"eos_token_id": end})
        with pytest.raises(MalformedFileError, match="eos_token_id"):
            Tokenizer.from_directory(folder)


def test_a_decoder_that_cannot_be_streamed_is_refused(tmp_path: Path) -> None:
    tokenizer = copy.deepcopy(small.WORD_PIECE)
    tokenizer["decoder"] = {
        "type": "CTC",
        "pad_token": "a",
        "word_delimiter_token": "b",
        "cleanup": True,
    }
    with pytest.raises(UnsupportedModelError, match="CTC"):
        Tokenizer.from_directory(write(tmp_path, tokenizer=tokenizer))


def _paths(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    items = (
        node.items()
        if isinstance(node, dict)
        else enumerate(node)
        if isinstance(node, list)
        else ()
    )
    for key, value in items:
        found += _paths(value, (*path, key))
    return found


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2**34),
    st.text(max_size=4),
    st.builds(list),
    st.builds(dict),
    st.sampled_from(("ByteLevel", "BPE", "Unigram", "Metaspace", "Sequence", "NFC", "Fuse")),
)
PATHS = _paths(small.WORD_PIECE)


@settings(
    max_examples=400,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
)
@given(data=st.data())
def test_a_mutated_file_gives_a_tokenizer_or_a_named_error(
    tmp_path: Path, data: st.DataObject
) -> None:
    root = copy.deepcopy(small.WORD_PIECE)
    for path in data.draw(st.lists(st.sampled_from(PATHS), min_size=1, max_size=3)):
        node: Any = root
        try:
            for key in path[:-1]:
                node = node[key]
            if data.draw(st.booleans()):
                node[path[-1]] = data.draw(values)
            else:
                del node[path[-1]]
        except (KeyError, IndexError, TypeError):
            continue
    text = json.dumps(root)
    if data.draw(st.booleans()):
        text = text[: data.draw(st.integers(0, len(text)))]
    write(tmp_path)
    (tmp_path / "tokenizer.json").write_text(text)
    with contextlib.suppress(StudioloError):
        tokenizer = Tokenizer.from_directory(tmp_path)
        ids = tokenizer.encode("Playing [SEP] don't é\x00 zz", parse_special=True)
        assert all(i >= 0 for i in ids)
        assert isinstance(tokenizer.decode(ids), str)
        assert tokenizer.facts()["vocab_size"] == tokenizer.vocab_size
