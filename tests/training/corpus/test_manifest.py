from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studiolo.errors import MalformedFileError, SourceError
from studiolo.training.corpus.manifest import NAME, read_manifest
from tests.training.corpus.small import built, texts


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    texts(folder / "in", 4)
    built(folder / "out", {"name": "s", "path": str(folder / "in"), "validation": 0})
    return folder / "out"


def changed(corpus: Path, folder: Path, **values: object) -> Path:
    for path in corpus.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    manifest = json.loads((corpus / NAME).read_text())
    (folder / NAME).write_text(json.dumps(manifest | values))
    return folder


def test_it_holds_no_place_and_no_time_of_the_machine(corpus: Path) -> None:
    manifest = json.loads((corpus / NAME).read_text())
    recipe = manifest.pop("recipe")
    assert str(corpus.parent) not in json.dumps(manifest)
    assert recipe["sources"][0]["path"] == str(corpus.parent / "in")  # as it was written there


def test_what_is_no_corpus_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is no corpus") as caught:
        read_manifest(tmp_path)
    assert "studiolo data build" in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"digest": "0" * 64}, "its digest is not that of its files"),
        ({"version": 2}, "version"),
        ({"dtype": "float16"}, "dtype"),
        ({"more": 1}, "more"),
        ({"training": {"tokens": "many"}}, "training.tokens"),
    ],
)
def test_a_manifest_that_cannot_be_is_refused(
    corpus: Path, tmp_path: Path, values: dict[str, object], message: str
) -> None:
    with pytest.raises(MalformedFileError, match=message):
        read_manifest(changed(corpus, tmp_path, **values))


def test_files_that_are_gone_or_cut_short_are_noticed(corpus: Path, tmp_path: Path) -> None:
    folder = changed(corpus, tmp_path)
    data = (folder / "train.bin").read_bytes()
    (folder / "train.bin").write_bytes(data[:-2])
    with pytest.raises(
        MalformedFileError, match=rf"has {len(data) - 2:,} bytes, not {len(data):,}"
    ):
        read_manifest(folder)
    (folder / "train.bin").unlink()
    with pytest.raises(MalformedFileError, match=r"train\.bin: is not there"):
        read_manifest(folder)


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_refused_by_name(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    folder = tmp_path_factory.mktemp("bytes")
    (folder / NAME).write_bytes(data)
    with pytest.raises(MalformedFileError, match=r"manifest\.json"):
        read_manifest(folder)
