from __future__ import annotations

from studiolo.retrieval.document import Extract, Growing, Heading


def test_a_place_has_the_page_on_which_it_stands() -> None:
    extract = Extract("one\n\ntwo\n", pages=(0, 5))
    assert [extract.page(place) for place in (0, 4, 5, 8)] == [1, 1, 2, 2]
    assert Extract("one").page(1) is None


def test_a_growing_text_keeps_places() -> None:
    out = Growing()
    out.page()
    out.line("Zoë's  house", 1)
    out.line("stands")
    out.page()
    out.line("", 2)
    out.line("Roof", 2)
    found = out.extract()
    assert found.text == "Zoë's  house\nstands\n\n\nRoof\n"
    assert found.pages == (0, 21)
    assert found.headings == (Heading(0, 1, "Zoë's house"), Heading(22, 2, "Roof"))
    assert all(found.text.startswith(h.title.split()[0], h.start) for h in found.headings)
    assert out.size == len(found.text)
