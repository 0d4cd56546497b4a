from __future__ import annotations

import json
import pickle
from pathlib import Path

from studiolo.training.corpus.chain import Chain, Outcome
from studiolo.training.corpus.document import Unreadable
from studiolo.training.corpus.files import File
from studiolo.training.corpus.kinds import SUFFIXES
from tests.training.corpus.small import prose, recipe


def chain(**source: object) -> Chain:
    made = recipe({"name": "s", "path": "x", "licence": "MIT", **source})
    [own] = made.sources
    return Chain(own, {kind: made.steps_of(own, kind) for kind in SUFFIXES}, {})


def test_documents_are_carried_through_until_one_step_drops_them(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    rows = [
        {"text": prose(1) + "  \n", "licence": "CC0-1.0"},
        {"text": "too short"},
        {"text": " "},
        {"no": 1},
    ]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    own = chain(licence_field="licence", steps={"c4": False, "fineweb": False})
    kept, short, empty, none = own.outcomes(File(path, "in/a.jsonl", "jsonl"))
    assert isinstance(kept, Outcome)
    assert (kept.by, kept.changed) == ("", ("normalise",))
    assert kept.document.text == prose(1) + "\n"
    assert kept.read == len(prose(1)) + 3
    assert (kept.document.identity, kept.document.licence) == ("in/a.jsonl#1", "CC0-1.0")
    assert kept.signature is not None
    assert isinstance(short, Outcome)
    assert (short.by, short.signature) == ("quality", None)
    assert short.document.licence == "MIT"
    assert isinstance(empty, Outcome)
    assert empty.by == "normalise"
    assert isinstance(none, Unreadable)
    assert none.identity == "in/a.jsonl#4"


def test_a_file_that_cannot_be_read_on_ends_in_one_remark(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(prose(1).encode() + b"\xff")
    assert list(chain().outcomes(File(path, "a.txt", "text"))) == [
        Unreadable("a.txt", "is no UTF-8 text: invalid start byte")
    ]


def test_a_file_that_is_gone_is_told_too(tmp_path: Path) -> None:
    assert list(chain().outcomes(File(tmp_path / "a.txt", "a.txt", "text"))) == [
        Unreadable("a.txt", "cannot be read: No such file or directory")
    ]


def test_a_chain_and_what_comes_out_can_be_sent_to_another_process(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(prose(1), encoding="utf-8")
    own: Chain = pickle.loads(pickle.dumps(chain()))
    [kept] = own.outcomes(File(path, "a.txt", "text"))
    assert pickle.loads(pickle.dumps(kept)).document.text == prose(1)


def test_a_caption_names_its_picture_from_the_source(tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(b"")
    (tmp_path / "cat.txt").write_text("a cat", encoding="utf-8")
    [kept] = chain().outcomes(File(tmp_path / "cat.png", "pets/cat.png", "captions"))
    assert isinstance(kept, Outcome)
    assert (kept.document.text, kept.document.image) == ("a cat", "pets/cat.png")
