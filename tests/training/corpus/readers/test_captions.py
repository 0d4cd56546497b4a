from __future__ import annotations

from pathlib import Path

from studiolo.training.corpus.document import Unreadable
from studiolo.training.corpus.readers.captions import read_captions
from studiolo.training.corpus.readers.reading import Fields, Row


def test_a_caption_stands_beside_its_picture(tmp_path: Path) -> None:
    picture = tmp_path / "cat.png"
    picture.write_bytes(b"")
    assert list(read_captions(picture, Fields())) == [
        Unreadable("", "has no caption: there is neither cat.txt nor metadata.jsonl")
    ]
    (tmp_path / "cat.txt").write_text(" a cat \n", encoding="utf-8")
    assert list(read_captions(picture, Fields())) == [Row("a cat", image="cat.png")]


def test_a_list_names_pictures_that_are_there_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "dog.jpg").write_bytes(b"")
    listing = tmp_path / "metadata.jsonl"
    listing.write_text(
        '{"file_name": "in/dog.jpg", "text": "a dog"}\n'
        '{"file_name": "none.jpg", "text": "a dog"}\n'
        '{"file_name": "../x/dog.jpg", "text": "a dog"}\n'
        '{"file_name": "in/dog.jpg"}\n'
        "no\n",
        encoding="utf-8",
    )
    first, *others = read_captions(listing, Fields())
    assert first == Row("a dog", "in/dog.jpg", image="in/dog.jpg")
    assert [getattr(each, "why", "").split(":")[0] for each in others] == [
        "'none.jpg' is not there",
        "'../x/dog.jpg' is no picture of this folder",
        "has no texts 'file_name' and 'text'",
        "is no JSON",
    ]
    beside = tmp_path / "alone.png"
    beside.write_bytes(b"")
    assert list(read_captions(beside, Fields())) == []
