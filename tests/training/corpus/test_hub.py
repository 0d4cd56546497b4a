from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest

from studiolo.errors import InvalidRequestError, SourceError
from studiolo.training.corpus.files import files
from studiolo.training.corpus.recipe import SourceRecipe

NAMES = ("README.md", "data/train-1.parquet", "data/train-0.parquet", "data/test-0.parquet")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The files that were fetched, with their revision; the hub itself is not asked."""
    fetched: list[tuple[str, str]] = []

    def info(self: object, name: str, *, revision: str) -> SimpleNamespace:
        if name == "nobody/nothing":
            raise OSError("no connection")
        return SimpleNamespace(sha="c0ffee", siblings=[SimpleNamespace(rfilename=n) for n in NAMES])

    def download(name: str, file: str, *, repo_type: str, revision: str) -> str:
        assert repo_type == "dataset"
        fetched.append((file, revision))
        return f"/cache/{file}"

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", info)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    return fetched


def source(**values: object) -> SourceRecipe:
    return SourceRecipe.model_validate({"name": "s", "hf": "owner/name", **values})


def test_files_of_one_commit_are_fetched_as_they_are_asked_for(asked: list[object]) -> None:
    found = files(source(pattern="data/train-*"))
    first = next(found)
    assert (first.path, first.name, first.kind) == (
        Path("/cache/data/train-0.parquet"),
        "data/train-0.parquet",
        "parquet",
    )
    assert asked == [("data/train-0.parquet", "c0ffee")]
    assert [f.name for f in found] == ["data/train-1.parquet"]


def test_a_pattern_without_files_and_a_hub_without_answer_are_named(asked: list[object]) -> None:
    with pytest.raises(InvalidRequestError, match=r"fits no \.parquet file of owner/name"):
        list(files(source(pattern="dev-*")))
    with pytest.raises(SourceError, match="nobody/nothing cannot be fetched: no connection"):
        list(files(source(hf="nobody/nothing")))
