from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from studiolo.errors import InvalidRequestError
from studiolo.retrieval.document import Document, Unread
from studiolo.retrieval.ingest import EXTRACTED, KINDS, digest_of, kind_of, load, read, walk
from tests.retrieval.small import docx, pdf, write

FILES: dict[str, str | bytes] = {
    "b.md": "# B",
    "a/z.txt": "z",
    "a/.hidden.md": "h",
    ".git/x.md": "x",
    "node_modules/y.js": "y",
    "a.png": b"\x89PNG",
    "c.PDF": pdf("page"),
}


def test_documents_are_walked_in_order_and_the_rest_is_passed_over(tmp_path: Path) -> None:
    folder = write(tmp_path / "docs", FILES)
    outside = write(tmp_path / "outside", {"secret.md": "s"})
    os.symlink(outside, folder / "link")
    os.symlink(outside / "secret.md", folder / "link.md")
    assert list(walk(folder)) == ["a/z.txt", "b.md", "c.PDF"]
    with pytest.raises(InvalidRequestError, match="dir: there is no folder"):
        list(walk(folder / "b.md"))


def test_kinds_are_told_by_names() -> None:
    found = [kind_of(name) for name in ("A.MD", "x.tar.gz", "m.eml", "p.py", "y.html", "Makefile")]
    assert found == ["markdown", None, "mail", "python", "html", None]
    assert set(EXTRACTED) < set(KINDS)
    endings = [ending for each in KINDS.values() for ending in each]
    assert len(endings) == len(set(endings))


def test_a_large_file_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "big.pdf").open("wb") as file:
        file.truncate(500_000_000)  # without a block on the disk
    found = load(tmp_path, "big.pdf")
    assert isinstance(found, Unread)
    assert "has 500,000,000 bytes, more than 100,000,000" in found.why
    assert load(write(tmp_path, {"a.md": "abc"}), "a.md", 3) == b"abc"
    gone = load(tmp_path, "gone.md")
    assert isinstance(gone, Unread)
    assert "No such file" in gone.why
    odd = load(tmp_path, "a\udcff.md")
    assert isinstance(odd, Unread)
    assert odd.source == "a?.md"


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("a.md", b"caf\xe9", "byte 3"),
        ("a.md", b" \n\t", "holds no text"),
        ("a.pdf", pdf(""), "seems to be a scan"),
        ("a.pdf", b"%PDF-1.4 nothing", "is no PDF"),
        ("a.docx", b"PK nothing", "is damaged"),
        ("a.docx", docx(("Normal", "")), "holds no text"),
        ("a.html", b"<script>x</script>", "holds no text"),
        ("a.zip", b"x", "no kind"),
    ],
)
def test_what_cannot_be_read_says_why(name: str, data: bytes, why: str) -> None:
    found = read(name, data)
    assert isinstance(found, Unread)
    assert why in found.why


def test_a_document_knows_its_file() -> None:
    found = read("x/a.py", b"a = 1\n")
    assert isinstance(found, Document)
    assert (found.source, found.kind, found.extract.text) == ("x/a.py", "python", "a = 1\n")
    assert found.digest == digest_of(b"a = 1\n") == hashlib.sha256(b"a = 1\n").hexdigest()
