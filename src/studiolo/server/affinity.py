"""Which replica a request should go to: the one that has probably read its beginning before.

A request's *token* is made of its key and of how its prompt begins: the turns of a conversation up
to the first of the user, or a prompt's first characters. All turns of one conversation have it in
common, and so have conversations under one long system prompt. Replicas are ordered for a token by
rendezvous hashing (Thaler and Ravishankar 1998), so that routers agree without talking, and a
replica that comes or goes moves only its own share. The first of them gets the request, unless it
has clearly more to do than the idlest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

BEGINNING = 512
"""Characters of a prompt's beginning that count."""
LARGEST = 1 << 20
"""Bytes of a body beyond which it is not looked into."""
BUSIER = 4
"""Requests that a replica may have more than the idlest before it is passed over."""
PROMPTS = ("prompt", "input", "inputText", "inputs")


def token_of(headers: Iterable[tuple[bytes, bytes]], body: bytes) -> str:
    """The token of a request; ``headers`` as ASGI has them."""
    named = dict(headers)
    key = named.get(b"authorization", named.get(b"x-api-key", b""))
    digest = hashlib.sha256(len(key).to_bytes(8, "big") + key)
    digest.update(beginning(body).encode("utf-8", "replace"))
    return digest.hexdigest()


def beginning(body: bytes) -> str:
    """How the prompt in ``body`` begins, in whatever dialect; empty where there is none."""
    if len(body) > LARGEST:
        return ""
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(asked, dict):
        return ""
    parts = [str(asked.get("model", "")), _text(asked.get("system", asked.get("instructions")))]
    turns = asked.get("messages")
    if isinstance(turns, list):
        for turn in turns:
            parts.append(_text(turn))
            if not isinstance(turn, dict) or turn.get("role") not in ("system", "developer"):
                break
    else:
        parts += [_text(asked[name]) for name in PROMPTS if name in asked]
    return "\n".join(parts)[:BEGINNING]


def ranked(token: str, loads: Mapping[str, int]) -> list[str]:
    """The names of replicas in the order in which to try them; ``loads``: requests under way."""
    order = sorted(loads, key=lambda name: _score(token, name), reverse=True)
    limit = min(loads.values(), default=0) + BUSIER
    free = [name for name in order if loads[name] <= limit]
    return free + [name for name in order if loads[name] > limit]


def _score(token: str, name: str) -> bytes:
    return hashlib.sha256(f"{token} {name}".encode()).digest()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)
