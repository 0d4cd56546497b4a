"""The tree itself: every module has its test, and no reason on the list is stale."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "studiolo"

ELSEWHERE = {
    "bundle/landing.py": "partial files, resumption, checksums: bundle/test_pull and each source",
    "bundle/layout/rope.py": "both spellings: bundle/layout/test_config; scalings: nn/test_decoder",
    "bundle/sources/directory.py": "the same copy as of a file: bundle/sources/test_file",
    "errors.py": "raised, and their words looked at, wherever something can go wrong",
    "family/contract.py": "protocols and plain values; its families' tests are its tests",
    "modality/text/blueprint.py": "what both vocabularies fill and test_tokenizer holds to others",
    "modality/text/bounded_jinja.py": "its bounds and its sandbox: modality/text/test_chat",
    "modality/text/spelling.py": "bytes and text of every token: modality/text/test_tokenizer",
    "training/objective.py": "protocols and a plain value; every kind's tests are its tests",
    "nn/network.py": "protocols and a plain value; its networks' tests are its tests",
    "task/generation.py": "streams, stops, samples and results as people get them: task/test_text",
}
"""Modules without a test file of their own, and why."""


def modules() -> list[str]:
    return sorted(
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if path.name != "__init__.py"
    )


def test_every_module_has_its_test() -> None:
    missing = [
        module
        for module in modules()
        if module not in ELSEWHERE
        and not (ROOT / "tests" / module).with_name(f"test_{Path(module).name}").exists()
    ]
    assert missing == []


def test_no_reason_is_stale() -> None:
    for module in ELSEWHERE:
        assert (SOURCE / module).exists(), module
        own = (ROOT / "tests" / module).with_name(f"test_{Path(module).name}")
        assert not own.exists(), module


def test_every_folder_of_tests_is_a_package() -> None:
    folders = {path.parent for path in (ROOT / "tests").rglob("*.py")}
    assert [f for f in folders if not (f / "__init__.py").exists()] == []


PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("bench/*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
    inside = [target for target in targets if "://" not in target]
    assert [target for target in inside if not (page.parent / target).exists()] == []


def test_every_page_of_the_docs_is_in_their_index() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert {page for page in pages - {"index.md"} if f"({page})" not in index} == set()
