"""A response as it is written: its events one after the other, and all of it as it is by then.

Source: OpenAI API reference, "Responses", "Streaming events". The whole and the stream come from
the same writer, so that they cannot differ: whoever wants the whole leaves the events lying.

Notable choices. *Scores of tokens of which nothing is shown* wait for the text that they belong
to; those of a call of a tool are dropped, since a call has no place for them. *An answer has at
least one item*, though it may be an empty message.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

from studiolo.errors import BusyError
from studiolo.task.asking import Answer, Called, Ended, Event, Outcome, Piece, Scored
from studiolo.task.openai import errors
from studiolo.task.openai.fields import Head, receipt_of, scores
from studiolo.task.openai.responses import ResponseBody, echoed

Written = dict[str, Any]


async def told(body: ResponseBody, head: Head, answer: Answer) -> Written:
    """The response that an answer is, once it is complete, and which is not stored."""
    writer = Writer(body, head, stored=False)
    for _ in writer.begin(answer.fingerprint):
        pass
    async for event in answer:
        for _ in writer.hear(event):
            pass
    response = writer.finish(answer.outcome)
    return {**response, "receipt": receipt_of(answer)} if body.receipt else response


class Writer:
    """Writes the response to ``body``; ``stored``: whether it can be asked for again.

    In this order: :meth:`begin`, :meth:`hear` for every event, :meth:`finish`, :meth:`end`; or
    :meth:`fail` at any time. ``response`` is the response as it is.
    """

    def __init__(self, body: ResponseBody, head: Head, *, stored: bool) -> None:
        self._head, self._scored = head, body.scored
        self._number = 0
        self._message: Written | None = None
        self._pending: list[Scored] = []
        self._cut = False
        self.response: Written = {
            "id": f"resp_{head.id}",
            "object": "response",
            "created_at": head.created,
            "completed_at": None,
            "status": "in_progress",
            "error": None,
            "incomplete_details": None,
            "model": head.model,
            "output": [],
            "store": stored,
            "usage": None,
            **echoed(body),
        }

    def begin(self, fingerprint: str) -> Iterator[Written]:
        """What stands before anything is said."""
        self.response["system_fingerprint"] = fingerprint
        for name in ("created", "in_progress"):
            yield self._event(name, response={**self.response, "output": []})

    def hear(self, event: Event) -> Iterator[Written]:
        """What ``event`` adds."""
        match event:
            case Piece(_, text, found):
                self._pending += found
                if text:
                    yield from self._say(text)
            case Called():
                self._pending.clear()
                yield from self._close("completed")
                yield from self._call(event)
            case Ended(_, reason):
                self._cut = reason == "length"
                if self._message is None and not self.response["output"]:
                    yield from self._open()
                if self._message is not None and self._pending:
                    yield from self._say("")
                yield from self._close("incomplete" if self._cut else "completed")

    def finish(self, outcome: Outcome) -> Written:
        """The response, complete."""
        last = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
        done = {"status": "completed", "completed_at": int(time.time())}
        self.response |= last if self._cut else done
        self.response["usage"] = usage(outcome)
        return self.response

    def end(self) -> Written:
        """The last event."""
        return self._event(self.response["status"], response=self.response)

    def fail(self, error: Exception) -> Written:
        """The last event instead, which tells of ``error``."""
        code = "server_error" if errors.status_of(error) >= 500 else "invalid_prompt"
        if isinstance(error, BusyError):
            code = "rate_limit_exceeded"
        self.response |= {
            "status": "failed",
            "error": {"code": code, "message": errors.told(error)},
        }
        return self.end()

    def _say(self, text: str) -> Iterator[Written]:
        if self._message is None:
            yield from self._open()
        found, self._pending = scores(self._pending) if self._scored else [], []
        part = self._part
        part["text"] += text
        part["logprobs"] += found
        yield self._within("output_text.delta", delta=text, logprobs=found)

    def _open(self) -> Iterator[Written]:
        self._message = {
            "id": self._named("msg"),
            "type": "message",
            "role": "assistant",
            "status": "in_progress",
            "content": [],
        }
        yield self._added(self._message)
        part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        self._message["content"].append(part)
        yield self._within("content_part.added", part={**part, "logprobs": []})

    def _close(self, status: str) -> Iterator[Written]:
        """End the message that is being said, if one is."""
        if self._message is None:
            return
        part = self._part
        yield self._within("output_text.done", text=part["text"], logprobs=part["logprobs"])
        yield self._within("content_part.done", part=part)
        self._message["status"] = status
        yield self._done(self._message)
        self._message = None

    def _call(self, event: Called) -> Iterator[Written]:
        arguments = json.dumps(event.call.arguments, ensure_ascii=False)
        item: Written = {
            "id": self._named("fc"),
            "type": "function_call",
            "status": "in_progress",
            "call_id": event.id,
            "name": event.call.name,
            "arguments": "",
        }
        yield self._added(item)
        where = {"item_id": item["id"], "output_index": self._place}
        yield self._event("function_call_arguments.delta", **where, delta=arguments)
        item["arguments"] = arguments
        yield self._event(
            "function_call_arguments.done", **where, name=item["name"], arguments=arguments
        )
        item["status"] = "completed"
        yield self._done(item)

    @property
    def _place(self) -> int:
        """The number of the newest item; only that is ever open."""
        return len(self.response["output"]) - 1

    @property
    def _part(self) -> Written:
        """The only part of the newest item."""
        part: Written = self.response["output"][-1]["content"][0]
        return part

    def _named(self, kind: str) -> str:
        return f"{kind}_{self._head.id}_{len(self.response['output'])}"

    def _added(self, item: Written) -> Written:
        self.response["output"].append(item)
        shown = {**item, "content": []} if "content" in item else dict(item)
        return self._event("output_item.added", output_index=self._place, item=shown)

    def _done(self, item: Written) -> Written:
        return self._event("output_item.done", output_index=self._place, item=item)

    def _within(self, kind: str, **fields: Any) -> Written:
        item = self.response["output"][-1]
        where = {"item_id": item["id"], "output_index": self._place, "content_index": 0}
        return self._event(kind, **where, **fields)

    def _event(self, kind: str, **fields: Any) -> Written:
        self._number += 1
        return {"type": f"response.{kind}", "sequence_number": self._number - 1, **fields}


def usage(outcome: Outcome) -> dict[str, Any]:
    """What an answer took, as responses write it."""
    return {
        "input_tokens": outcome.prompt_tokens,
        "input_tokens_details": {"cached_tokens": outcome.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": outcome.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": outcome.prompt_tokens + outcome.completion_tokens,
    }
