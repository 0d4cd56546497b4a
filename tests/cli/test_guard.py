from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from studiolo.guard.names import Names
from studiolo.guard.policy import policy_of
from tests.cli.conftest import Run
from tests.guard.conftest import names
from tests.guard.samples import embedded

__all__ = ["names"]

PAGE = Path(__file__).parents[2] / "docs" / "guard.md"
RULES = """
name: support
words: {exact: [falcon]}
personal: [{kinds: [EMAIL, PIN]}]
expressions: [{name: ticket, pattern: 'TCK-[0-9]+'}]
"""


@pytest.fixture
def rules(tmp_path: Path) -> str:
    path = tmp_path / "policy.yaml"
    path.write_text(RULES)
    return str(path)


def test_what_becomes_of_a_text(run: Run, rules: str) -> None:
    text = "My PIN is 4821, see TCK-12"
    told = run("guard", "try", rules, "--input", text, "--json").json
    assert told["action"] == "mask"
    assert told["text"] == "My PIN is {PIN}, see {ticket}"
    assert [(each["rule"], text[each["start"] : each["end"]]) for each in told["findings"]] == [
        ("personal.PIN", "4821"),
        ("expressions.ticket", "TCK-12"),
    ]
    assert "4821" not in str(told)
    plain = run("guard", "try", rules, "--output", text)
    assert plain.out == "My PIN is {PIN}, see {ticket}\n"
    assert "mask: personal.PIN at 10–14" in plain.err
    blocked = run("guard", "try", rules, "--output", "-", "--json", stdin="the falcon")
    assert blocked.code == 0
    assert (blocked.json["action"], blocked.json["text"]) == (
        "block",
        "This answer was blocked by the policy.",
    )
    assert run("guard", "try", rules, "--input", "Hello", "--json").json["action"] == "none"


def test_publishing(run: Run, rules: str, home: Path) -> None:
    done = run("guard", "publish", rules)
    assert done.out.startswith("support@1 ")
    assert run("guard", "publish", rules, "--json").json["digest"] in done.out
    told = run("guard", "try", "support@1", "--input", "falcon", "--json").json
    assert told["action"] == "block"
    assert told["policy"] in done.out


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        ((), 2, "text: give one"),
        (("--input", "a", "--output", "b"), 2, "text: give one"),
        (("--input", "a", "--question", "b"), 2, "go with --output alone"),
        (("--output", "a", "--source", "none.txt"), 2, "there is no file 'none.txt'"),
    ],
)
def test_what_is_wrong_is_said(
    run: Run, rules: str, arguments: tuple[str, ...], code: int, why: str
) -> None:
    ended = run("guard", "try", rules, *arguments)
    assert ended.code == code
    assert why in " ".join(ended.err.split())


def test_a_policy_that_is_none(run: Run, tmp_path: Path, home: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("name: x\nexpressions: [{name: a, pattern: '(a+'}]")
    ended = run("guard", "try", str(path), "--input", "x")
    assert ended.code == 1
    assert "expressions.0.pattern" in ended.err
    assert run("guard", "try", "x@1", "--input", "x").code == 1


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


def test_the_example_of_the_page_does_what_the_page_says(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: Names, encoder: Path
) -> None:
    import studiolo

    model = studiolo.load_encoder(str(encoder))
    monkeypatch.setattr("studiolo.cli.loading.load_encoder", lambda *_: model)
    monkeypatch.setattr("studiolo.cli.mask.load_names", lambda: names)
    path = tmp_path / "policy.yaml"
    (example,) = blocks("yaml")
    path.write_text(example, encoding="utf-8")
    policy_of(example.encode(), "the page")
    tried = re.findall(
        r"^\| `(input|output)` \| (.+?) \| `(\w+)` \| `([\w.]+)` \|$", PAGE.read_text("utf-8"), re.M
    )
    assert len(tried) >= 8
    for direction, text, action, rule in tried:
        told = run("guard", "try", str(path), f"--{direction}", text.strip("“”"), "--json").json
        found = {each["rule"] for each in told["findings"]}
        assert (told["action"], rule in found) == (action, True), (text, told)


def test_the_python_of_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: Names
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("studiolo.load_encoder", lambda *_: _Encoder())
    monkeypatch.setattr("studiolo.guard.names.Names.load", lambda *_: names)
    monkeypatch.setattr("studiolo.guard.names.folder_of_names", lambda: tmp_path)
    monkeypatch.setattr("studiolo.guard.masking.folder_of_names", lambda: tmp_path)
    (example,) = blocks("yaml")
    Path("policy.yaml").write_text(example, encoding="utf-8")
    assert isinstance(yaml.safe_load(example), dict)
    place: dict[str, Any] = {}
    for code in blocks("python"):
        exec(code, place)


class _Encoder:
    """As far as the page uses one."""

    def embed(self, texts: Any, *, truncate: bool = False) -> Any:
        return embedded(texts)
