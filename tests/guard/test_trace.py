from __future__ import annotations

import json

from studiolo.guard.policy import Action
from studiolo.guard.trace import Hit, Outcome


def test_a_trace_is_plain_and_holds_no_text() -> None:
    hit = Hit(3, 7, "personal.EMAIL", 0.95, Action.MASK)
    failed = Hit(0, 9, "topics", 1.0, Action.BLOCK, "TimeoutError")
    told = Outcome(Action.BLOCK, "no", (hit, failed), "d").as_json()
    assert json.loads(json.dumps(told)) == {
        "action": "block",
        "text": "no",
        "policy": "d",
        "findings": [
            {"start": 3, "end": 7, "rule": "personal.EMAIL", "score": 0.95, "action": "mask"},
            {
                "start": 0,
                "end": 9,
                "rule": "topics",
                "score": 1.0,
                "action": "block",
                "failed": "TimeoutError",
            },
        ],
    }
    assert Outcome(Action.BLOCK, "", (), "d").blocked
    assert not Outcome(Action.MASK, "", (), "d").blocked
