from __future__ import annotations

from tests.cli.conftest import Run
from tests.cli.test_search import FILES, folder, indexed

__all__ = ["folder", "indexed"]


def test_a_document_and_a_place_in_it(run: Run, indexed: str) -> None:
    assert run("show", "--index", indexed, "leave.md").out == FILES["leave.md"]
    part = run("show", "--index", indexed, "leave.md", "--start", "13", "--end", "42")
    assert part.out == "A probation lasts six months.\n"
    said = run("show", "--index", indexed, "leave.md", "--start", "13", "--json").json
    end = len(FILES["leave.md"])
    text = FILES["leave.md"][13:]
    assert said == {"source": "leave.md", "page": None, "start": 13, "end": end, "text": text}


def test_documents_are_listed_as_far_as_they_may_be_seen(run: Run, indexed: str) -> None:
    assert run("show", "--index", indexed).out.split() == sorted(FILES)
    listed = run("show", "--index", indexed, "--as", "it", "--json").json
    assert [each["source"] for each in listed] == ["leave.md", "reports/2024/q1.md"]
    hidden = run("show", "--index", indexed, "hr/pay.md", "--as", "it")
    assert hidden.code == 1
    assert "no document 'hr/pay.md'" in hidden.err
    assert run("show", "--index", indexed, "hr/pay.md", "--as", "hr").code == 0
