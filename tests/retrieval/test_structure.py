from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from studiolo.retrieval.document import Document, Extract, Heading
from studiolo.retrieval.structure import sections
from tests.retrieval.small import document

MARKDOWN = """Before all.

# House

It stands.

It falls.

## Rooms ##
```sh
# no heading

## none either
```
Garden
------
- a list
---
| a |
----
"""


def test_markdown_headings_and_blocks() -> None:
    found = sections(document(MARKDOWN))
    assert [each.path for each in found] == [
        (),
        ("House",),
        ("House", "Rooms"),
        ("House", "Garden"),
    ]
    house = found[1]
    starts = [MARKDOWN[block:].split("\n")[0] for block in house.blocks]
    assert starts == ["# House", "It stands.", "It falls."]
    assert len(found[2].blocks) == 1, "nothing within a fence begins a block"


def test_python_is_cut_at_functions() -> None:
    text = (
        '"""Doc."""\n\nimport os\n\n\n@once\ndef one():\n    return 1\n\n\nclass Two:\n'
        "    x = 1\n\n    def three(self):\n        def inner(): ...\n"
    )
    found = sections(document(text, "python", "a.py"))
    assert [each.path for each in found] == [
        (),
        ("def one",),
        ("class Two",),
        ("class Two", "def three"),
    ]
    assert text[found[1].start :].startswith("@once")
    broken = sections(document("def one(:\n\nx", "python", "a.py"))
    assert [each.path for each in broken] == [()]


def test_headings_and_pages_of_a_reader_are_kept() -> None:
    text = "Rain\nwet\n\nSun\ndry\n"
    extract = Extract(text, (0, 10), (Heading(0, 1, "Rain"), Heading(10, 1, "Sun")))
    found = sections(Document("a.pptx", "0", "pptx", extract))
    assert [(text[s.start : s.end], s.path) for s in found] == [
        ("Rain\nwet\n\n", ("Rain",)),
        ("Sun\ndry\n", ("Sun",)),
    ]
    untitled = Extract(text, (0, 10), (Heading(0, 1, "Rain"),))
    assert [s.path for s in sections(Document("a.pptx", "0", "pptx", untitled))] == [("Rain",), ()]


lines = st.sampled_from(
    ["# a", "## b", "c", "", "===", "---", "```", "~~~", "- d", "def f():", "    return 1", "\r"]
)


@given(st.lists(lines).map("\n".join) | st.text(), st.sampled_from(["markdown", "python", "text"]))
def test_sections_and_blocks_cover_every_text(text: str, kind: str) -> None:
    found = sections(document(text, kind))
    assert "".join(text[each.start : each.end] for each in found) == text
    for each in found:
        assert each.blocks[0] == each.start
        assert list(each.blocks) == sorted(set(each.blocks))
        assert each.blocks[-1] < each.end
