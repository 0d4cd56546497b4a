from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

from studiolo.errors import SourceError
from studiolo.training.corpus.page import page, write_page
from tests.training.corpus.small import built, prose

EVIL = "<script>alert(1)</script>"


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href")]


def test_the_page_needs_nothing_else_and_runs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    rows = [{"text": f"{EVIL} {prose(n)}", "id": EVIL} for n in range(3)] + [{"text": EVIL}]
    path.write_text("\n".join(map(json.dumps, rows)) + "\nno", encoding="utf-8")
    source = {"name": "s", "path": str(path), "identity_field": "id", "validation": 0}
    steps = {"fineweb": False, "near": False}
    manifest = built(tmp_path / "out", source, steps=steps, on_error="skip")
    write_page(tmp_path / "page.html", manifest)
    written = (tmp_path / "page.html").read_text(encoding="utf-8")
    tags = Tags()
    tags.feed(written)
    assert "script" not in tags.tags
    assert tags.addresses == []
    assert "&lt;script&gt;alert(1)" in written
    for told in (
        f"{manifest.training.tokens:,} tokens of 3 documents",
        "<b>1</b> by quality: number of words",
        "<b>1</b> by reading: could not be read",
        manifest.digest,
    ):
        assert told in written
    assert page(manifest) == written


def test_a_page_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    path = tmp_path / "in.txt"
    path.write_text(prose(1), encoding="utf-8")
    manifest = built(tmp_path / "out", {"name": "s", "path": str(path), "validation": 0})
    with pytest.raises(SourceError, match="cannot be written"):
        write_page(tmp_path / "no" / "page.html", manifest)
