"""Names, members and digests."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from studiolo.bundle.manifest import FilePin, checked_member, checked_name, digest_of, hash_file
from studiolo.errors import InvalidRequestError


@pytest.mark.parametrize("name", ["a", "Qwen--Qwen3-0.6B", "a.b_c", "x" * 128])
def test_good_names(name: str) -> None:
    assert checked_name(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "a..b", "a/b", "a\\b", ".a", "a.", "é", "a\n", "x" * 129]
)
def test_bad_names(name: str) -> None:
    with pytest.raises(InvalidRequestError):
        checked_name(name)


@pytest.mark.parametrize(
    "name", ["", "/a", "a//b", "../a", "a/./b", "a\\b", "a:b", "a\0", "bundle.json", "a.part", "a/"]
)
def test_bad_members(name: str) -> None:
    with pytest.raises(ValueError, match="plain relative"):
        checked_member(name)


def test_digest_is_that_of_sorted_lines() -> None:
    first, second = "a" * 64, "b" * 64
    expected = hashlib.sha256(f"{first}\n{second}\n".encode()).hexdigest()
    assert digest_of([second, first]) == digest_of([first, second]) == expected


def test_a_file_is_hashed_whole(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert hash_file(tmp_path / "x") == FilePin(sha256=digest, size=3)
