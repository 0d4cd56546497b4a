from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studiolo.modality.text.tokenizer import Tokenizer
from studiolo.training.check import right_answer, trial


@pytest.fixture(scope="module")
def spelt(tiny: str) -> Tokenizer:
    return Tokenizer.from_directory(Path(tiny))


@pytest.mark.parametrize(
    ("answer", "text", "right"),
    [
        ("7", "3 and 4 make 7.", True),
        ("7", "7 is wrong, it is 8", False),
        ("7", "seven", False),
        ("7.0", "7", True),
        ("-3", "so it is -3", True),
        ("1,024", "2 to the 10 is 1024", True),
        ("1024", "that is 1,024", True),
        ("7", "", False),
        ("yes", " yes\n", True),
        ("yes", "yes, of course", False),
    ],
)
def test_a_number_is_the_last_and_a_text_is_all(answer: str, text: str, right: bool) -> None:
    assert right_answer(answer)(text) is right


@given(st.integers(-(10**12), 10**12) | st.floats(-1e6, 1e6))
def test_every_number_is_its_own_answer(spelt: Tokenizer, number: float) -> None:
    made = trial({"prompt": "a", "answer": number}, spelt)
    if "e" not in repr(number):  # nobody answers so
        assert made.right(f"It is {number!r}")
    assert not made.right("It is not known")


def test_a_form_is_of_the_whole_answer(spelt: Tokenizer) -> None:
    made = trial({"prompt": "a", "pattern": r"<b>.*</b>"}, spelt)
    assert made.right("<b>one\ntwo</b>\n")
    assert not made.right("so: <b>one</b>")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"answer": "7"}, "has no prompt"),
        ({"prompt": "", "answer": "7"}, "has no prompt"),
        ({"prompt": "a"}, "no answer, nor a pattern"),
        ({"prompt": "a", "answer": " "}, "no answer, nor a pattern"),
        ({"prompt": "a", "answer": True}, "no answer, nor a pattern"),
        ({"prompt": "a", "pattern": "("}, "no regular expression"),
    ],
)
def test_what_cannot_be_checked_is_refused(
    spelt: Tokenizer, value: dict[str, object], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        trial(value, spelt)
