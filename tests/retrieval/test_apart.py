from __future__ import annotations

import io
import json
import time
from pathlib import Path

import pytest

from studiolo.errors import MalformedFileError, MissingExtraError
from studiolo.retrieval import apart, ingest
from studiolo.retrieval.apart import Apart, serve
from studiolo.retrieval.document import Extract
from tests.retrieval.small import docx, pdf, refused

WORD = docx(("Title", "Zoë's house"), ("Normal", "It stands."))


def test_what_comes_back_is_what_the_reader_gave() -> None:
    with Apart() as process:
        for kind, data in (("docx", WORD), ("pdf", pdf("one", "two")), ("text", b"plain")):
            assert process.extract(kind, data) == ingest.extract(kind, data)
        with refused("seems to be a scan\nLet a text recognition"):
            process.extract("pdf", pdf(""))
        assert process.extract("html", b"<p>on</p>").text == "on\n\n"


def slow(monkeypatch: pytest.MonkeyPatch, folder: Path, body: str) -> None:
    """Have the process read PDF by other code, which stands where its library is looked for."""
    (folder / "pypdf.py").write_text(
        f"class PdfReader:\n    def __init__(self, file):\n        {body}\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(folder))


def test_a_file_that_takes_too_long_is_given_up_and_the_next_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    slow(monkeypatch, tmp_path, "[None for _ in iter(int, 1)]")
    with Apart(seconds=2) as process:
        began = time.monotonic()
        with refused("takes more than 2 seconds"):
            process.extract("pdf", b"x")
        assert time.monotonic() - began < 30
        assert process.extract("docx", WORD).text.startswith("Zoë")


def test_a_file_that_takes_too_much_memory_is_given_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    slow(monkeypatch, tmp_path, "bytearray(3 << 30)")
    with Apart(memory=2 << 30) as process:
        with refused("MemoryError|too much|no PDF"):
            process.extract("pdf", b"x")
        assert process.extract("docx", WORD).text.startswith("Zoë")


def test_a_reader_that_breaks_down_takes_one_file_with_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    slow(monkeypatch, tmp_path, "__import__('os').abort()")
    with Apart() as process:
        for _ in range(2):
            with refused("broke down .exit status -6"):
                process.extract("pdf", b"x")
        assert process.extract("docx", WORD).text.startswith("Zoë")


def test_nothing_is_started_for_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subprocess.Popen", lambda *args, **more: pytest.fail("started"))
    with Apart() as process:
        assert process.extract("markdown", b"# a").text == "# a"
        with refused("byte 0"):
            process.extract("text", b"\xff")


def test_a_missing_library_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "docx.py").write_text("raise ImportError")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with Apart() as process, pytest.raises(MissingExtraError, match="retrieval"):
        process.extract("docx", WORD)


def test_errors_of_any_kind_are_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    def extract(kind: str, data: bytes) -> Extract:
        if kind == "docx":
            raise RecursionError
        if kind == "pdf":
            raise MalformedFileError("bad", remedy="mend it")
        return Extract(data.decode(), (0,))

    monkeypatch.setattr(apart, "extract", extract)
    asked = b"".join(json.dumps([kind, 2]).encode() + b"\nhi" for kind in ("docx", "pdf", "pptx"))
    answers = io.BytesIO()
    serve(io.BytesIO(asked), answers, 60)
    assert [json.loads(line) for line in answers.getvalue().splitlines()] == [
        {"error": "is too much for its reader (RecursionError)", "remedy": None},
        {"error": "bad", "remedy": "mend it"},
        {"text": "hi", "pages": [0], "headings": []},
    ]
