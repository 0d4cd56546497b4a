"""Errors name fields as the client wrote them."""

from __future__ import annotations

import pytest

from studiolo.errors import ContextOverflowError, InvalidRequestError, UnknownModelError
from studiolo.task.openai.errors import told
from studiolo.task.wording import worded


def test_a_field_has_the_clients_name() -> None:
    with (
        pytest.raises(InvalidRequestError, match=r"^stop_sequences: is a stop\nGo\.$") as wrong,
        worded({"stop": "stop_sequences"}),
    ):
        raise InvalidRequestError("stop", "is a stop", remedy="Go.")
    assert (wrong.value.field, told(wrong.value)) == (
        "stop_sequences",
        "stop_sequences: is a stop. Go.",
    )


def test_an_error_keeps_its_kind() -> None:
    with pytest.raises(ContextOverflowError) as wrong, worded({"max_tokens": "limit"}):
        raise ContextOverflowError(10, 20, 16)
    assert wrong.value.message.startswith("limit: 30 tokens are needed")
    assert (wrong.value.needed, wrong.value.limit) == (30, 16)


def test_other_errors_and_fields_are_left_alone() -> None:
    with pytest.raises(InvalidRequestError) as wrong, worded({"stop": "x"}):
        raise InvalidRequestError("seed", "is odd")
    assert wrong.value.message == "seed: is odd"
    with pytest.raises(UnknownModelError), worded({"stop": "x"}):
        raise UnknownModelError("stop", [])
