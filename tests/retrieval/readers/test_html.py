from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from studiolo.retrieval.readers.html import read_html

PAGE = """<html><head><title>x</title></head><body><nav>Menu</nav>
<h1>The <em>house</em></h1><p>It stands
 by the river.<br>Since 1790.</p><script>alert()</script>
<h2>Rooms</h2><ul><li>Kitchen</li><li>Study</li></ul>
<pre>a = 1
  b = 2</pre>
<table><tr><th>Room</th><th>Size</th></tr><tr><td>Study</td><td>12</td></tr></table>
<footer>Imprint</footer></body></html>"""


def test_a_page_is_its_blocks_with_headings() -> None:
    found = read_html(PAGE.encode())
    assert found.text.split("\n") == [
        *("The house", "", "It stands by the river.", "Since 1790.", "", "Rooms", ""),
        *("Kitchen", "Study", "a = 1", "  b = 2", "", "Room | Size", "Study | 12", ""),
    ]
    assert [(h.level, h.title) for h in found.headings] == [(1, "The house"), (2, "Rooms")]
    assert all(found.text.startswith(h.title, h.start) for h in found.headings)


def test_the_main_part_alone_is_read_once() -> None:
    page = "<p>before</p><main><article><p>inside</p></article><p>also</p></main><p>after</p>"
    assert read_html(page.encode()).text.split() == ["inside", "also"]
    assert read_html(b"").text == ""


@given(st.text(alphabet="<>/abhp1 \n&;=\"'") | st.text())
def test_any_bytes_are_a_page(text: str) -> None:
    found = read_html(text.encode("utf-8", "replace"))
    assert all(0 <= h.start < len(found.text) for h in found.headings)


def test_bytes_are_what_the_page_says_or_what_browsers_take_them_for() -> None:
    page = '<meta charset="{}"><p>Straße</p>'
    assert read_html(page.format("koi8-r").encode("utf-8")).text.strip() == "Straße"
    for name, own in (("iso-8859-2", "iso-8859-2"), ("latin1", "cp1252"), ("rot13", "cp1252")):
        assert read_html(page.format(name).encode(own)).text.strip() == "Straße"
    assert read_html("<p>“Straße”</p>".encode("cp1252")).text.strip() == "“Straße”"
