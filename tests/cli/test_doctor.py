from __future__ import annotations

import subprocess
from pathlib import Path

import httpx
import pytest

from studiolo.cli import doctor
from tests.cli.conftest import Run


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_hub(*args: object, **options: object) -> None:
        raise httpx.ConnectError("no route")

    def no_index(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", "WARNING: x\nERROR: no index\n")

    monkeypatch.setattr(httpx, "head", no_hub)
    monkeypatch.setattr(subprocess, "run", no_index)


@pytest.mark.usefixtures("offline")
def test_a_machine_without_network_or_models_is_healthy_and_told_what_to_do(
    run: Run, home: Path
) -> None:
    ended = run("doctor", "--json")
    assert ended.code == 0
    assert ended.json["ok"] is True
    checks = {check["name"]: check for check in ended.json["checks"]}
    assert checks["python"]["status"] == checks["torch"]["status"] == "ok"
    assert checks["package index"]["value"] == "cannot be reached: ERROR: no index"
    assert checks["hub"]["status"] == checks["models"]["status"] == "missing"
    assert str(home) in checks["home"]["value"]
    assert all(check["remedy"] for check in checks.values() if check["status"] == "missing")
    assert "`studiolo pull smollm2-135m-instruct`" in " ".join(run("doctor").out.split())


@pytest.mark.usefixtures("offline")
def test_a_home_that_cannot_be_written_to_is_broken(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = home / "file"
    file.touch()
    monkeypatch.setenv("STUDIOLO_HOME", str(file / "below"))
    ended = run("doctor", "--json")
    assert ended.code == 1
    assert ended.json["ok"] is False
    broken = [check for check in ended.json["checks"] if check["status"] == "broken"]
    assert [check["name"] for check in broken] == ["home"]
    assert "STUDIOLO_HOME" in broken[0]["remedy"]


def test_an_index_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(command: list[str], **options: object) -> None:
        raise subprocess.TimeoutExpired(command, 20)

    monkeypatch.setattr(subprocess, "run", slow)
    assert doctor.check_index().value == "no answer (TimeoutExpired)"


def test_installed_models_are_named(starter: Path) -> None:
    checks = {check.name: check for check in doctor.check_home()}
    assert starter.name in checks["models"].value
