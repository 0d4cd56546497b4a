from __future__ import annotations

import json as json_module
from pathlib import Path

import pytest

from studiolo.errors import InvalidRequestError
from studiolo.training.corpus.files import files
from studiolo.training.corpus.recipe import SourceRecipe


def source(**values: object) -> SourceRecipe:
    return SourceRecipe.model_validate({"name": "s", **values})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for name in ("b/z.txt", "b/a.md", "a.txt", "c.bin", ".hidden/x.txt", "__pycache__/y.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x", encoding="utf-8")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "o.txt").write_text("x", encoding="utf-8")
    (root / "link").symlink_to(outside)
    return root


def test_a_folder_is_walked_in_order_of_names(folder: Path) -> None:
    found = list(files(source(path=str(folder))))
    assert [(f.name, f.kind) for f in found] == [
        ("a.txt", "text"),
        ("b/a.md", "markdown"),
        ("b/z.txt", "text"),
    ]
    assert [f.name for f in files(source(path=str(folder), kind="text"))] == ["a.txt", "b/z.txt"]
    assert [f.name for f in files(source(path=str(folder), pattern="b/*"))] == ["b/a.md", "b/z.txt"]
    picked = list(files(source(path=str(folder), pattern="*.bin", kind="text")))
    assert [(f.name, f.kind) for f in picked] == [("c.bin", "text")]


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        ({"path": "nowhere"}, "sources.s.path", "is not there"),
        ({"path": "c.bin"}, "sources.s.kind", "does not tell it"),
        ({"path": ".", "pattern": "*.csv"}, "sources.s.path", "no file to read"),
        ({"package": "no_such_package"}, "sources.s.package", "no Python package"),
        ({"package": "sys"}, "sources.s.package", "no Python package"),
    ],
)
def test_what_is_not_there_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, values: dict[str, str], field: str, words: str
) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(InvalidRequestError, match=words) as caught:
        list(files(source(**values)))
    assert caught.value.field == field


def test_a_package_is_its_source_code_and_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "explosive"
    (package / "inner").mkdir(parents=True)
    for name in ("__init__.py", "inner/__init__.py", "inner/deep.py"):
        (package / name).write_text("raise RuntimeError", encoding="utf-8")
    (package / "data.txt").write_text("x", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    found = list(files(source(package="explosive")))
    assert [f.name for f in found] == ["__init__.py", "inner/__init__.py", "inner/deep.py"]
    assert {f.kind for f in found} == {"code"}
    inner = list(files(source(package="explosive.inner")))
    assert [f.name for f in inner] == ["__init__.py", "deep.py"]
    one = list(files(source(package="json.decoder")))
    assert [f.path for f in one] == [Path(str(json_module.decoder.__file__))]


def test_stdlib_is_pythons_own_library() -> None:
    names = {f.name for f in files(source(package="stdlib"))}
    assert "json/decoder.py" in names
    assert not any(name.startswith("site-packages/") for name in names)
