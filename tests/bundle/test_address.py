"""What is asked for is told apart by its look."""

from __future__ import annotations

import pytest

from studiolo.bundle import address
from studiolo.errors import InvalidRequestError


@pytest.mark.parametrize(
    ("what", "is_name", "own"),
    [
        ("smollm2-135m-instruct", True, "smollm2-135m-instruct"),
        ("hf:Qwen/Qwen3-0.6B", False, "Qwen--Qwen3-0.6B"),
        ("hf:a/b/c-q4.gguf", False, "a--b--c-q4"),
        ("https://example.org/m/my%2Dmodel.gguf?x=1", False, "my-model"),
        ("./folder/", False, "folder"),
        ("file:/srv/x.gguf", False, "x"),
        ("x.gguf", False, "x"),
    ],
)
def test_names(what: str, is_name: bool, own: str) -> None:
    assert address.is_name(what) is is_name
    assert address.own_name(what) == own


@pytest.mark.parametrize("what", ["hf:../..", "https://example.org/", "./ .gguf", "a b"])
def test_what_no_name_can_be_made_of(what: str) -> None:
    with pytest.raises(InvalidRequestError):
        address.own_name(what)
