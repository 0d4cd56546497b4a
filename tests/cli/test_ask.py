from __future__ import annotations

import pytest

from studiolo.cli import ask as command
from studiolo.cli.ask import How, _large, _writer
from studiolo.cli.loading import STARTER
from tests.cli.conftest import Run
from tests.cli.test_search import FILES, folder, indexed

__all__ = ["folder", "indexed"]


def test_an_answer_names_its_evidence(run: Run, indexed: str) -> None:
    """The encoder is random, so that the words decide."""
    said = run("ask", "--index", indexed, "A probation lasts six months.", "--json").json
    assert set(said) == {"answer", "supported", "kind", "withheld", "citations"}
    assert (said["kind"], said["supported"]) == ("extractive", True)
    for citation in said["citations"]:
        assert said["answer"][citation["start"] : citation["end"]] == citation["sentence"]
        assert set(citation) == {"sentence", "start", "end", "references"}
        for each in citation["references"]:
            assert FILES[each["source"]][each["start"] : each["end"]] == each["text"]
    shown = run("ask", "--index", indexed, "A probation lasts six months.")
    assert "[1] " in shown.out
    assert "no model wrote this" in shown.err


def test_a_model_writes_if_it_is_asked_to(
    run: Run, indexed: str, tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Model:
        def chat(self, messages: list[dict[str, str]], **options: object) -> Model:
            assert "<passage number=" in messages[-1]["content"]
            assert options["temperature"] == 0.0
            return self

        text = "A probation lasts six months. Pigeons nest on the roof of the ministry."

    monkeypatch.setattr(command, "load_model", lambda name, device: Model())
    args = ("ask", "--index", indexed, "A probation lasts six months.", "--how", "generate")
    said = run(*args, "--wide", "--json").json
    assert (said["kind"], said["supported"]) == ("generated", False)
    assert [bool(each["references"]) for each in said["citations"]] == [True, False]
    assert "ministry. [no evidence]" in run(*args, "--wide").out
    kept = run(*args, "--wide", "--unsupported", "withhold")
    assert "ministry" not in kept.out
    assert "1 sentences without evidence are left out" in kept.err


def test_small_models_quote(home: object) -> None:
    assert not _large(STARTER)
    assert _large("qwen2.5-coder-1.5b-instruct")
    assert _large("./somewhere.gguf")
    assert _writer(STARTER, How.AUTO, "cpu") is None
    assert _writer("qwen2.5-coder-1.5b-instruct", How.EXTRACT, "cpu") is None
    assert _writer(STARTER, How.GENERATE, "cpu") is not None


def test_what_is_wrong_is_said(run: Run, home: object) -> None:
    assert "no index is called 'n'" in run("ask", "--index", "n", "x").err
    assert "Missing option '--index'" in run("ask", "x").err
