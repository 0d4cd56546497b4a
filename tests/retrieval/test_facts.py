from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studiolo.errors import InvalidRequestError
from studiolo.retrieval.facts import Facts, Rules, read_rules

RULES = """
default: everyone
rules:
  - match: ["hr/**", "*.secret.md"]
    access: [hr, management]
  - match: reports/*/*.md
    metadata: {year: 2024, team: finance, final: true, tags: [a, b]}
  - match: reports/2023/**
    metadata: {year: 2023}
    access: nobody
  - match: hr/menu.md
    access: everyone
"""


@pytest.fixture
def rules(tmp_path: Path) -> Rules:
    path = tmp_path / "rules.yaml"
    path.write_text(RULES)
    return read_rules(path)


@pytest.mark.parametrize(
    ("source", "access"),
    [
        ("a.md", None),
        ("hr/pay.md", ("hr", "management")),
        ("hr/old/pay.md", ("hr", "management")),
        ("x/y.secret.md", ("hr", "management")),
        ("hr.md", None),
        ("hr/menu.md", None),
        ("reports/2023/q1.md", ()),
        ("reports/2024/q1.md", None),
    ],
)
def test_later_rules_win(rules: Rules, source: str, access: tuple[str, ...] | None) -> None:
    assert rules.of(source).access == access


def test_metadata_add_up(rules: Rules) -> None:
    assert rules.of("reports/2024/q1.md").metadata == {
        "year": 2024.0,
        "team": "finance",
        "final": True,
        "tags": ["a", "b"],
    }
    assert rules.of("reports/2023/q1.md").metadata["year"] == 2023.0
    assert rules.of("reports/2023/more/q1.md").metadata == {"year": 2023.0}
    assert rules.of("a.md").metadata == {}
    assert Rules(default="nobody").of("a.md").access == ()


def test_a_change_is_seen_by_the_digest() -> None:
    one = Facts(("a", "b"), {"x": 1.0, "y": "z"})
    assert one.digest == Facts(("b", "a"), {"y": "z", "x": 1.0}).digest
    others = [Facts(None, one.metadata), Facts((), one.metadata), Facts(("a",), one.metadata)]
    assert len({one.digest, *(each.digest for each in others)}) == 4


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("rules: [{match: a, acces: [b]}]", "rules.0.acces: Extra inputs"),
        ("default: some", "default: Input should be"),
        ("rules: [{match: a, access: someone}]", "rules.0.access"),
        ("rules: [{match: a, metadata: {'a b': 1}}]", "is no key"),
        ("rules: [{match: a, metadata: {a: 1}}, {match: b, metadata: {a: x}}]", "is a number in"),
        ("rules: [{match: a, metadata: {a: .inf}}]", "metadata"),
        ("rules: [{match: a, metadata: {a: 9007199254740994}}]", "beyond the exact numbers"),
        ("rules: [", "is no YAML"),
        ("- a", "Input should be"),
        ("!!python/object/apply:os.system [echo]", "is no YAML"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(text)
    with pytest.raises(InvalidRequestError, match="rules") as caught:
        read_rules(path)
    assert why in caught.value.message
    with pytest.raises(InvalidRequestError, match="cannot be read"):
        read_rules(tmp_path / "none.yaml")


@given(text=st.text() | st.text(alphabet="rules:[]{}match- a\n&*!\"'"))
def test_any_text_gives_rules_or_our_error(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        assert isinstance(read_rules(path), Rules)
    except InvalidRequestError:
        return
