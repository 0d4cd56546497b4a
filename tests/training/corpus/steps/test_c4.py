from __future__ import annotations

from studiolo.training.corpus.document import Document, Dropped
from studiolo.training.corpus.steps.c4 import C4Rules, c4
from tests.training.corpus.small import document

PAGE = """Menu
After the rain, the streets were wet.[1] Nobody was outside.

This site uses cookies to make it better for you.
Please enable JavaScript to see the whole page now.
It had rained for three long days, they said[citation needed]
Read our privacy policy before you go on from here.
"And then?" asked the baker, who had seen it all."""


def test_lines_that_are_no_prose_go() -> None:
    said = c4(document(PAGE), C4Rules())
    assert isinstance(said, Document)
    assert said.text.split("\n") == [
        "After the rain, the streets were wet. Nobody was outside.",
        "",
        "It had rained for three long days, they said",
        '"And then?" asked the baker, who had seen it all.',
    ]
    marked = c4(document(PAGE), C4Rules(marks=True))
    assert isinstance(marked, Document)
    assert "three long days" not in marked.text


def test_pages_that_are_none_go() -> None:
    assert c4(document("Lorem Ipsum dolor."), C4Rules()) == Dropped("lorem ipsum")
    assert c4(document("if (x) { y }"), C4Rules()) == Dropped("curly bracket")
    short = document("One sentence of some words. Two sentences of some words.")
    assert c4(short, C4Rules()) == Dropped("number of sentences", "2, fewer than 3")
    assert c4(short, C4Rules(sentences=2)) is short
    assert c4(document("{ one two three four five }. A b. C d."), C4Rules(braces=False)) is not None
