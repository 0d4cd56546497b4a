"""Moderations: no model here judges texts, and no verdict is made up."""

from __future__ import annotations

import openai
import pytest


def test_nobody_judges(client: openai.OpenAI) -> None:
    for given in ("hello", ["hello", "you"], [{"type": "text", "text": "hello"}]):
        with pytest.raises(openai.NotFoundError, match="no model here moderates"):
            client.moderations.create(input=given)  # type: ignore[arg-type]
    with pytest.raises(openai.NotFoundError):
        client.moderations.create(input="hello", model="omni-moderation-latest")


def test_what_is_wrong_is_named(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as wrong:
        client.moderations.create(input=5)  # type: ignore[arg-type]
    assert wrong.value.param == "input"
