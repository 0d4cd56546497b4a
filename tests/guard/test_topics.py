from __future__ import annotations

from pathlib import Path

import pytest

import studiolo
from studiolo.guard.policy import Topic
from studiolo.guard.topics import Topics
from tests.guard.samples import embedded

MONEY = Topic(
    name="money",
    definition="Advice on what to buy or sell in order to make money.",
    examples=("Should I buy shares of this company?", "Which fund gives the best return?"),
)


def test_sentences_near_an_example() -> None:
    text = "Hello there. Should I buy shares of this company? Thanks."
    found = Topics([MONEY], embedded).find(text)
    assert [(text[a:b], name) for a, b, name, _ in found] == [
        ("Should I buy shares of this company?", "money")
    ]
    assert found[0][3] == pytest.approx(1)
    assert Topics([MONEY], embedded).find("") == []
    assert Topics([MONEY], embedded).find("Cats sleep.") == []


def test_by_meaning(encoder: Path) -> None:
    model = studiolo.load_encoder(str(encoder))
    topics = Topics([MONEY], lambda texts: model.embed(texts, truncate=True).numpy())
    for text in ("Is Apple stock worth buying now?", "Which investment fund should I choose?"):
        assert topics.find(text), text
    for text in ("How do I bake bread?", "The company moved to Leeds in 1998.", "Hi!"):
        assert not topics.find(text), text
