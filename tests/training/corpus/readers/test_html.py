from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from studiolo.training.corpus.readers.html import main_text, read_html
from studiolo.training.corpus.readers.reading import Fields, Row

PAGE = """<!doctype html><html><head><title>T</title><style>p {}</style></head><body>
<nav><a href="/">Home</a></nav>
<div id="c"><h1>On&nbsp;rain</h1>
  <p>After the <em>rain</em>, the
  streets<script>alert("x")</script> were wet.</p>tail<br>next
  <ul><li>one</li><li>two <b>bold</b></li></ul>
  <pre>a  b
    c</pre>
  <form><input value="q">Search</form></div>
<footer>© 2026</footer></body></html>"""


def test_blocks_become_lines_and_what_stands_around_is_left_out() -> None:
    assert main_text(PAGE.encode()).split("\n") == [
        "On rain",
        "After the rain, the streets were wet.",
        "tail",
        "next",
        "one",
        "two bold",
        "a  b",
        "    c",
    ]


def test_a_page_that_names_its_main_part_is_that_part() -> None:
    page = "<body><p>menu</p><main><p>it</p></main><article>not <p>this</p></article></body>"
    assert main_text(page.encode()) == "it"
    articles = "<p>x</p><article><p>one</p><article>in it</article></article><article>two</article>"
    assert main_text(articles.encode()) == "one\nin it\ntwo"


def test_a_page_without_text_is_no_document(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_text("<script>1</script>", encoding="utf-8")
    assert list(read_html(path, Fields())) == []
    path.write_text("<p>deep" + "<div>" * 20_000 + "er", encoding="utf-8")
    [row] = read_html(path, Fields())
    assert isinstance(row, Row)
    assert row.text.split() == ["deep", "er"]


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200) | st.text(st.sampled_from('<>/"pdivb &;!-'), max_size=80))
def test_any_bytes_are_a_page(data: bytes | str) -> None:
    raw = data.encode() if isinstance(data, str) else data
    assert isinstance(main_text(raw), str)
