"""Our own dials, and those of AWS beside them."""

from __future__ import annotations

from typing import Any

import pytest

from studiolo.errors import InvalidRequestError
from studiolo.sampler.settings import Decoding
from studiolo.server.bedrock.dials import OwnDials, joined
from studiolo.task.openai.fields import parse


def test_every_dial_is_there() -> None:
    names = {*Decoding.model_fields, "seed", "ignore_eos"}
    assert names <= OwnDials.model_fields.keys()
    given: dict[str, Any] = {
        "top_k": 5, "seed": 0, "ignore_eos": False, "json_schema": {"type": "object"},
        "logit_bias": {"3": 1.5}, "regex": None,
    }  # fmt: skip
    expected = {**given, "logit_bias": {3: 1.5}}
    del expected["regex"]
    assert parse(OwnDials, given).options() == expected


@pytest.mark.parametrize(
    ("dial", "value"), [("seed", -1), ("top_k", 1.5), ("temperature", "hot"), ("thinking", {})]
)
def test_what_is_wrong_is_named(dial: str, value: object) -> None:
    with pytest.raises(InvalidRequestError) as wrong:
        parse(OwnDials, {dial: value})
    assert wrong.value.field == dial


def test_a_dial_is_given_once() -> None:
    assert joined({"seed": 1}, {"temperature": 0.5, "top_p": None}, "") == {
        "seed": 1, "temperature": 0.5,
    }  # fmt: skip
    with pytest.raises(InvalidRequestError) as wrong:
        joined({"temperature": 2}, {"temperature": 0.5}, "extra.")
    assert wrong.value.field == "extra.temperature"
