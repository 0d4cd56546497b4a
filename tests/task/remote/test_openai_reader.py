"""Chunks become events; what cannot be used is an error, never a guess."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studiolo.errors import UpstreamError
from studiolo.modality.text.tools import ToolCall
from studiolo.task.asking import Called, Ended, Event, Piece, Scored, Spelled, TextAsk
from studiolo.task.remote.openai_reader import OpenAIReader
from studiolo.task.remote.sse import ServerEvent
from studiolo.task.remote.wire import Tally, TroubleError
from tests.task.remote.upstreams import chunk


def hear(*chunks: object, n: int = 1) -> tuple[list[Event], OpenAIReader]:
    reader = OpenAIReader(TextAsk("m", options={"n": n}))
    events = []
    for each in chunks:
        data = each if isinstance(each, str) else json.dumps(each)
        events += reader.read(ServerEvent("", data))
    return events, reader


def call(index: int | None = 0, id: str | None = None, **function: str) -> dict[str, Any]:
    delta: dict[str, Any] = {"function": function}
    delta |= {} if index is None else {"index": index}
    delta |= {} if id is None else {"id": id}
    return chunk(delta={"tool_calls": [delta]})


def test_texts_of_several_samples() -> None:
    events, reader = hear(
        {**chunk(delta={"role": "assistant", "content": ""}), "system_fingerprint": "fp_1"},
        chunk(1, delta={"content": "b"}),
        chunk(delta={"content": "a"}),
        chunk(delta={}, finish_reason="length"),
        chunk(1, delta={"content": "c"}, finish_reason="stop", stop_reason="END"),
        {
            "choices": [],
            "usage": {
                "prompt_tokens": 9,
                "completion_tokens": 3,
                "prompt_tokens_details": {"cached_tokens": 4},
            },
        },
        "[DONE]",
        n=2,
    )
    assert events == [
        Piece(1, "b"), Piece(0, "a"), Ended(0, "length"), Piece(1, "c"), Ended(1, "stop", "END"),
    ]  # fmt: skip
    assert (reader.complete, reader.fingerprint) == (True, "fp_1")
    assert reader.tally == Tally(9, 4, 3)


def test_an_answer_is_complete_when_all_samples_are() -> None:
    done = chunk(delta={"content": "x"}, finish_reason="stop")
    assert hear(done)[1].complete
    assert not hear(done, n=2)[1].complete
    assert hear()[1].tally == Tally()


def test_calls_in_parts() -> None:
    events, _ = hear(
        chunk(delta={"content": "let me see"}),
        call(0, "c1", name="f", arguments=""),
        call(0, arguments='{"x"'),
        call(1, "c2", name="g", arguments='{"y": [2]}'),
        call(0, arguments=": 1}"),
        chunk(delta={}, finish_reason="tool_calls"),
    )
    assert events == [
        Piece(0, "let me see"),
        Called(0, 0, "c1", ToolCall("f", {"x": 1})),
        Called(0, 1, "c2", ToolCall("g", {"y": [2]})),
        Ended(0, "tool_calls"),
    ]


def test_calls_of_servers_that_count_badly() -> None:
    events, _ = hear(
        call(None, "c1", name="f", arguments="{}"),
        call(None, "c2", name="g"),
        chunk(delta={}, finish_reason="stop"),
    )
    assert events == [
        Called(0, 0, "c1", ToolCall("f", {})),
        Called(0, 1, "c2", ToolCall("g", {})),
        Ended(0, "tool_calls"),
    ]
    assert hear(chunk(delta={}, finish_reason="tool_calls"))[0] == [Ended(0, "stop")]
    named = hear(call(3, name="f"), chunk(delta={}, finish_reason="tool_calls"))[0][0]
    assert isinstance(named, Called)
    assert (named.place, named.id) == (0, "call_0")


def test_a_call_that_is_cut_is_shown_as_text() -> None:
    events, _ = hear(call(0, "c", name="f", arguments='{"x'), chunk(finish_reason="length"))
    assert events == [Piece(0, '{"x'), Ended(0, "length")]
    with pytest.raises(UpstreamError, match="no JSON object"):
        hear(call(0, "c", name="f", arguments='{"x'), chunk(finish_reason="tool_calls"))
    with pytest.raises(UpstreamError, match="no JSON object"):
        hear(call(0, "c", name="f", arguments="[1]"), chunk(finish_reason="stop"))


def test_scores_of_chats_and_of_completions() -> None:
    token = {"token": " a", "logprob": -0.5, "bytes": [32, 97]}
    top = [token, {"token": "\ufffd", "logprob": -1, "bytes": [226]}]
    events, _ = hear(
        chunk(delta={"content": " a"}, logprobs={"content": [{**token, "top_logprobs": top}]})
    )
    spelled = Spelled(" a", b" a", -0.5), Spelled("\ufffd", b"\xe2", -1.0)
    assert events == [Piece(0, " a", (Scored(" a", b" a", -0.5, spelled),))]
    log_probs = {
        "tokens": [" a", "bytes:\\xe2"],
        "token_logprobs": [-0.5, None],
        "top_logprobs": [{" a": -0.5}, None],
    }
    (piece,), _ = hear({"choices": [{"index": 0, "text": " a", "logprobs": log_probs}]})
    assert piece == Piece(
        0,
        " a",
        (
            Scored(" a", b" a", -0.5, (Spelled(" a", b" a", -0.5),)),
            Scored("bytes:\\xe2", None, 0.0),
        ),
    )


def test_refusals_are_said_and_thinking_is_not() -> None:
    events, _ = hear(
        chunk(delta={"reasoning_content": "hmm", "content": None}),
        chunk(delta={"refusal": "no"}, finish_reason="stop"),
    )
    assert events == [Piece(0, "no"), Ended(0, "stop")]


@pytest.mark.parametrize(
    ("chunks", "reason"),
    [
        ([chunk(delta={}, finish_reason="content_filter")], "withheld the rest"),
        ([chunk(1, delta={"content": "x"})], "a sample 1 that nobody asked for"),
        ([chunk(-1, delta={"content": "x"})], "sample -1"),
        ([chunk(finish_reason="stop"), chunk(delta={"content": "x"})], "went on after"),
        (["{"], "cannot be read"),
        ([{"choices": 3}], "cannot be read: choices"),
        ([chunk(delta={"content": ["x"]})], "cannot be read: choices.0.delta.content"),
        ([{"usage": {"prompt_tokens": -1}}], "cannot be read: usage.prompt_tokens"),
        ([chunk(logprobs={"content": [{"token": "a", "logprob": 0, "bytes": [999]}]})], "bytes"),
        ([chunk(logprobs={"tokens": ["a", "b"], "token_logprobs": [1.0]})], "do not match"),
    ],
)
def test_what_cannot_be_used_is_an_error(chunks: list[object], reason: str) -> None:
    with pytest.raises(UpstreamError, match=reason):
        hear(*chunks)


def test_an_error_in_the_stream() -> None:
    with pytest.raises(TroubleError) as caught:
        hear({"error": {"message": "m", "type": "server_error", "code": 500}})
    assert (caught.value.kind, caught.value.message) == ("server_error", "m")
    with pytest.raises(TroubleError):
        hear({"error": "just words"})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "delta",
                    "index",
                    "content",
                    "tool_calls",
                    "function",
                    "arguments",
                    "error",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.lists(JSON | st.text(), max_size=4))
def test_nothing_that_is_sent_breaks_it(chunks: list[object]) -> None:
    reader = OpenAIReader(TextAsk("m"))
    for each in chunks:
        data = each if isinstance(each, str) else json.dumps(each)
        try:
            reader.read(ServerEvent("", data))
        except (UpstreamError, TroubleError):
            return
