from __future__ import annotations

import json
from collections import Counter

import pytest

from bench.crowd import (
    MIX,
    Ask,
    Kind,
    Solo,
    Tally,
    growth,
    judged,
    kinds,
    next_kind,
    percentile,
)
from bench.wire import Reply

SOLO = Solo("right", {"output": "x"})


def answered(text: str, **more: object) -> Reply:
    body = {"choices": [{"text": text}], **more}
    return Reply(200, {"content-type": "application/json"}, json.dumps(body).encode(), whole=True)


def test_the_crowd_is_of_every_kind_and_the_same_for_everybody() -> None:
    assert sum(MIX.values()) == 100
    first, second = kinds(3), kinds(3)
    drawn = [next_kind(first) for _ in range(2000)]
    assert drawn == [next_kind(second) for _ in range(2000)]
    assert set(drawn) == set(MIX)
    counts = Counter(drawn)
    for kind, share in MIX.items():
        assert abs(counts[kind] / 20 - share) < 4


def test_each_kind_sends_what_it_says() -> None:
    ask = Ask({"prompt": "a", "seed": 1})
    assert b'"stream": true' in ask.sent("stream", 0)
    assert b'"receipt": true' in ask.sent("receipt", 0)
    assert ask.sent("whole", 0).endswith(b'{"prompt": "a", "seed": 1}')
    assert b"Content-Length: 1073741824" in ask.sent("oversized", 0)
    assert ask.sent("unclear", 0).count(b"Content-Length") == 2
    sent = {ask.sent("malformed", i) for i in range(20)}
    assert len(sent) == 7


@pytest.mark.parametrize(
    ("kind", "reply", "verdict"),
    [
        ("whole", answered("right"), "right"),
        ("whole", answered("other"), "altered"),
        ("receipt", answered("right", receipt={"digests": {"output": "x"}}), "right"),
        ("receipt", answered("right", receipt={"digests": {"output": "y"}}), "altered"),
        ("whole", Reply(), "lost"),
        ("stream", Reply(200, {"content-type": "text/event-stream"}, b"data: ", True), "lost"),
        ("whole", Reply(200, {}, b"{", False), "lost"),
        ("whole", Reply(429, {"retry-after": "1"}), "shed"),
        ("gone", Reply(429), "shed"),
        ("gone", Reply(), "right"),
        ("gone", Reply(200, {}, b"da", False), "right"),
        ("whole", Reply(500), "odd"),
        ("whole", Reply(400), "odd"),
        ("malformed", Reply(400), "refused"),
        ("oversized", Reply(413), "refused"),
        ("unclear", Reply(200), "odd"),
        ("malformed", Reply(500), "odd"),
        ("malformed", Reply(429), "shed"),
        ("oversized", Reply(), "lost"),
    ],
)
def test_what_a_client_got_is_judged(kind: Kind, reply: Reply, verdict: str) -> None:
    assert judged(kind, reply, SOLO) == verdict


def test_all_are_counted() -> None:
    tally = Tally()
    right = answered("right")
    right.seconds, right.first = 2.0, 1.0
    tally.note("whole", right, SOLO)
    tally.note("slow", right, SOLO)
    tally.note("gone", right, SOLO)
    tally.note("whole", Reply(429, {"retry-after": "3"}), SOLO)
    tally.note("whole", Reply(429, {"retry-after": "soon"}), SOLO)
    tally.note("whole", Reply(503), SOLO)
    assert (tally.answered, tally.count("right"), tally.count("shed")) == (2, 3, 3)
    assert tally.unclear == 2
    assert tally.seconds == [2.0]  # who reads slowly or leaves says nothing of the server
    assert tally.statuses == {200: 3, 429: 2, 503: 1}


def test_percentiles() -> None:
    values = [float(i) for i in range(100, 0, -1)]
    assert percentile(values, 0.5) == 51
    assert percentile(values, 0.99) == 100
    assert percentile([3.0], 0.99) == 3.0
    assert percentile([], 0.5) is None


def test_growth_is_of_the_end_over_the_middle() -> None:
    assert growth([1] * 7) is None
    assert growth([1, 50, 100, 100, 100, 100, 110, 110]) == pytest.approx(0.1)
    assert growth([10, 50] + [100] * 20) == pytest.approx(0.0)
