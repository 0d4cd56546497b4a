from __future__ import annotations

import pytest

from studiolo.guard.contract import breaks, checked_schema

SCHEMA = {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}}


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ('{"a": 1}', False),
        (' {"a": 1, "b": null}\n', False),
        ('{"a": "1"}', True),
        ("{}", True),
        ('{"a": 1} and more', True),
        ('{"a": NaN}', True),
        ("", True),
        ("[" * 100_000, True),
    ],
)
def test_texts(text: str, broken: bool) -> None:
    assert breaks(checked_schema(SCHEMA), text) is broken


def test_what_is_no_schema() -> None:
    with pytest.raises(ValueError, match="is no JSON schema"):
        checked_schema({"type": "objects"})


def test_nothing_is_fetched() -> None:
    validator = checked_schema({"$ref": "http://127.0.0.1:1/schema.json"})
    with pytest.raises(Exception, match=r"127\.0\.0\.1"):
        breaks(validator, "{}")
