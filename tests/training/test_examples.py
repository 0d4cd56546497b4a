from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studiolo.errors import InvalidRequestError
from studiolo.modality.text.tokenizer import Tokenizer
from studiolo.training.examples import asked, completed, example, pair, read_all
from studiolo.training.packing import Example


@pytest.fixture(scope="module")
def spelt(tiny: str) -> Tokenizer:
    return Tokenizer.from_directory(Path(tiny))


def counted(tokenizer: Tokenizer, made: Example) -> str:
    return tokenizer.decode(made.ids[made.counts].tolist(), skip_special=False)


def test_of_a_chat_the_answers_count_each_with_its_end(spelt: Tokenizer) -> None:
    chat = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "the cat"},
        {"role": "assistant", "content": "sat"},
        {"role": "user", "content": "the rain"},
        {"role": "assistant", "content": "wet"},
    ]
    made = example({"messages": chat}, spelt)
    answers = [c["content"] for c in chat if c["role"] == "assistant"]
    found = counted(spelt, made)
    assert [found.count(answer) for answer in answers] == [1, 1]
    assert "rain" not in found
    assert "brief" not in found
    assert spelt.decode(made.ids.tolist(), skip_special=False).count("wet") == 1
    one = example({"messages": chat[:3]}, spelt)
    assert made.ids[: len(one.ids)].tolist() == one.ids.tolist()


def test_of_a_completion_all_counts_and_an_end(spelt: Tokenizer) -> None:
    made = completed("after the rain", " the streets", spelt)
    assert counted(spelt, made) == " the streets<|eos|>"
    assert spelt.decode(made.ids.tolist()) == "after the rain the streets"


def test_a_pair_has_one_prompt_and_two_answers(spelt: Tokenizer) -> None:
    messages = [{"role": "user", "content": "where?"}]
    for prompt in ("where?", messages):
        chosen, rejected = pair({"prompt": prompt, "chosen": "mat", "rejected": "wet"}, spelt)
        first = int(chosen.counts.argmax())
        assert chosen.ids[:first].tolist() == rejected.ids[:first].tolist()
        assert "mat" in counted(spelt, chosen)
        assert "wet" in counted(spelt, rejected)
        assert asked(prompt, spelt) == chosen.ids[:first].tolist()
    chats = [[*messages, {"role": "assistant", "content": text}] for text in ("mat", "wet")]
    again = pair({"chosen": chats[0], "rejected": chats[1]}, spelt)
    assert [each.ids.tolist() for each in again] == [chosen.ids.tolist(), rejected.ids.tolist()]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({}, "has no messages, nor prompt and completion"),
        ({"prompt": "a", "completion": 3}, "has no messages"),
        ({"prompt": "", "completion": "a"}, "its prompt is empty"),
        ({"prompt": "a", "completion": ""}, "its completion is empty"),
        ({"messages": []}, "no answer of the assistant"),
        ({"messages": [{"role": "assistant", "content": "a"}]}, "no answer of the assistant"),
        ({"messages": [3, {"role": "assistant", "content": "a"}]}, "message 0 is a int"),
        ({"messages": [{"role": "user"}, {"role": "assistant", "content": "a"}]}, "content of"),
    ],
)
def test_what_is_no_example_is_named_by_its_line(
    spelt: Tokenizer, tmp_path: Path, value: object, words: str
) -> None:
    path = tmp_path / "a.jsonl"
    good = {"prompt": "a", "completion": "b"}
    path.write_text(f"{json.dumps(good)}\n\n{json.dumps(value)}\n")
    with pytest.raises(InvalidRequestError, match=f"line 3: .*{words}"):
        read_all(path, spelt, example)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "has no examples"),
        (b"\n\n", "has no examples"),
        (b"[1]\n", "line 1: is no object but list"),
        (b'{"a": \n', "line 1: is no JSON"),
        (b"\xff\n", "line 1: is no JSON"),
        (b"[" * 100_000, "line 1: is no JSON"),
    ],
)
def test_a_file_that_is_none_is_refused(
    spelt: Tokenizer, tmp_path: Path, data: bytes, words: str
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(data)
    with pytest.raises(InvalidRequestError, match=words):
        read_all(path, spelt, example)
    with pytest.raises(InvalidRequestError, match="cannot be read"):
        read_all(tmp_path / "none", spelt, example)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["messages", "role", "content", "prompt", "completion", "chosen"]), inner
    ),
    max_leaves=12,
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(JSON)
def test_any_line_is_an_example_or_refused(spelt: Tokenizer, tmp_path: Path, value: object) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(value) + "\n")
    for read in (example, pair):
        try:
            (found,) = read_all(path, spelt, read)
        except InvalidRequestError as error:
            assert str(error).startswith("data.path")  # noqa: PT017 - either is right
        else:
            assert found is not None
