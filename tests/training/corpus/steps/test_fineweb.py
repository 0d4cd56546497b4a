from __future__ import annotations

from studiolo.training.corpus.document import Dropped
from studiolo.training.corpus.steps.fineweb import FineWebRules, fineweb
from tests.training.corpus.small import document, prose

LINES = [line + "." for line in prose(3, 12).split(".") if line]


def test_each_rule_drops_what_breaks_it() -> None:
    bare = [line.rstrip(".") for line in LINES]
    assert fineweb(document("\n".join(bare)), FineWebRules()) == Dropped(
        "lines that end with a mark", "0.00, at most 0.12"
    )
    said = fineweb(document("\n".join([*LINES[:7], LINES[0]])), FineWebRules())
    assert isinstance(said, Dropped)
    assert said.why == "characters in repeated lines"
    short = [f"Line {n}." for n in range(8)] + LINES[:3]
    assert fineweb(document("\n".join(short)), FineWebRules()) == Dropped(
        "short lines", "0.73, 0.67 or more"
    )


def test_paragraphs_of_prose_pass() -> None:
    own = document("\n\n".join(LINES))
    assert fineweb(own, FineWebRules()) is own
