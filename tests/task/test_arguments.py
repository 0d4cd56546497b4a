"""Arguments of every wrong kind: each is refused by its own name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import studiolo
from studiolo.errors import InvalidRequestError
from studiolo.task.arguments import stop_strings, token_ids, whole

PROMPT = "the cat sat on the"
NO_WHOLE_NUMBERS: list[Any] = [
    *("3", b"3", None, True, False, 2.5, 2.0, float("nan"), float("inf"), 1j),
    *([3], {}, object(), np.float32(2), torch.tensor(2.0), -1, -(10**30)),
]
NO_STOPS: list[Any] = [
    *(None, 5, 2.5, True, b"a", {"a": 1}, {"a"}, object(), [1], ["a", None], [b"a"], [["a"]]),
    *("", ["a", ""], "a\ud800"),
]
NO_PROMPTS: list[Any] = [
    *(None, 5, 5.0, True, b"abc", bytearray(b"abc"), {5: 1}, {5, 6}, object()),
    *([True, 5], [5, -1], [5, 10**30], [5, 1.5], [5, 2.0], ["a", "b"], [None, 5], [[5], [6]]),
    *(np.array([5.5, 6]), torch.tensor([[5, 6]]), torch.tensor([5.0, 6.0])),
]


@pytest.mark.parametrize("field", ["max_tokens", "n", "seed", "log_probs"])
@pytest.mark.parametrize("value", NO_WHOLE_NUMBERS, ids=repr)
def test_what_counts_must_be_a_whole_number(
    lm: studiolo.LanguageModel, field: str, value: Any
) -> None:
    options: dict[str, Any] = {"max_tokens": 3, field: value}
    if value is None and field != "n":
        assert lm.generate(PROMPT, **options).log_probs is None
        return
    with pytest.raises(InvalidRequestError) as caught:
        lm.generate(PROMPT, **options)
    assert caught.value.field == field


@pytest.mark.parametrize("value", NO_WHOLE_NUMBERS, ids=repr)
def test_k_must_be_a_whole_number(lm: studiolo.LanguageModel, value: Any) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        lm.next_tokens(PROMPT, k=value)
    assert caught.value.field == "k"


@pytest.mark.parametrize("value", NO_STOPS, ids=repr)
def test_a_stop_is_a_string_or_several(lm: studiolo.LanguageModel, value: Any) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        lm.stream(PROMPT, stop=value)
    assert caught.value.field == "stop"


@pytest.mark.parametrize("value", NO_PROMPTS, ids=repr)
def test_a_prompt_is_text_or_token_ids(lm: studiolo.LanguageModel, value: Any) -> None:
    doors = {
        "prompt": (lm.generate, lm.stream, lm.next_tokens, lm.next_log_probs),
        "text": (lm.score,),
    }
    for field, calls in doors.items():
        for call in calls:
            with pytest.raises(InvalidRequestError) as caught:
                call(value)
            assert caught.value.field == field


def test_ids_may_come_in_any_sequence_of_integers(lm: studiolo.LanguageModel) -> None:
    """As plain ints: penalties must know a token again, and JSON must take a seed."""
    ids = lm.tokenizer.encode(PROMPT)
    expected = lm.generate(ids, max_tokens=4, seed=1, repetition_penalty=2.0)
    for given in (tuple(ids), np.array(ids), torch.tensor(ids)):
        found = lm.generate(given, max_tokens=4, seed=np.int64(1), repetition_penalty=2.0)  # type: ignore[arg-type]
        assert found.token_ids == expected.token_ids
        assert type(found.seed) is int


def test_what_is_right_comes_back_plain() -> None:
    assert whole("k", np.int64(7), 1) == 7
    assert type(whole("k", torch.tensor(7), 1)) is int
    assert stop_strings("a") == ("a",)
    assert stop_strings(["a", "bc"]) == ("a", "bc")
    assert token_ids("prompt", range(3), 3) == [0, 1, 2]
    with pytest.raises(InvalidRequestError, match=r"k: must be a whole number, 1 to 5, not 6"):
        whole("k", 6, 1, 5)
