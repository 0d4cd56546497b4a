"""The tree itself: every module has its test, and no reason on the list is stale."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "studiolo"

ELSEWHERE = {
    "errors.py": "raised, and their words looked at, wherever something can go wrong",
    "family/contract.py": "protocols and plain values; its families' tests are its tests",
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
