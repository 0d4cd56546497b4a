from __future__ import annotations

import pickle

from studiolo.training.corpus.document import Document, printable


def test_saying_the_same_is_the_same_object() -> None:
    said = Document("a", "s", "i", "MIT")
    assert said.saying("a") is said
    assert said.saying("b") == Document("b", "s", "i", "MIT")


def test_a_document_can_be_sent_to_another_process() -> None:
    said = Document("a", "s", "i", "MIT", "a.png")
    assert pickle.loads(pickle.dumps(said)) == said


def test_what_is_no_character_is_shown_as_none() -> None:
    assert printable("é\ud800") == "é\ufffd"
