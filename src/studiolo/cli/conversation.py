"""A conversation in the terminal as a value: its turns, its system message, its commands.

Knows neither a terminal nor a model: what is typed comes in as strings, what is to be
shown goes out as strings, so that all of it can be tested without either.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from studiolo.errors import InvalidRequestError

HELP = """\
/system TEXT   tell the model who it is; alone, show what it was told; `/system -` forgets it
/reset         forget what was said, keep the system message
/save FILE     write the conversation to FILE, as JSON
/model NAME    go on with another model; alone, say which this is
/help          this
/exit          leave; so does Ctrl-D

Ctrl-C stops an answer. A line that ends in \\ goes on in the next one; \"\"\" begins and
ends a message of several lines. A message that begins with a slash is written //."""

COMMANDS = ("/system", "/reset", "/save", "/model", "/help", "/exit")


@dataclass
class Conversation:
    """What was said so far. ``messages`` alternates user and assistant."""

    model: str
    system: str | None = None
    messages: list[dict[str, str]] = field(default_factory=list)
    saved: set[Path] = field(default_factory=set)

    def request(self, said: str) -> list[dict[str, object]]:
        """The messages to hand to the model so that it answers ``said``."""
        head = [] if self.system is None else [{"role": "system", "content": self.system}]
        return [dict(m) for m in (*head, *self.messages, {"role": "user", "content": said})]

    def add(self, said: str, answer: str) -> None:
        """Remember one turn. An answer that was cut short is remembered as far as it went."""
        self.messages += [
            {"role": "user", "content": said},
            {"role": "assistant", "content": answer},
        ]

    def save(self, name: str) -> str:
        """Write the conversation as JSON; a file that this conversation did not make is kept.

        Raises:
            InvalidRequestError: if there is no name, such a file exists, or it cannot be written.
        """
        if not name:
            raise InvalidRequestError("/save", "needs a file name")
        path = Path(name).expanduser().absolute()
        if path.exists() and path not in self.saved:
            raise InvalidRequestError("/save", f"{str(path)!r} exists; choose another name")
        value = {"model": self.model, "system": self.system, "messages": self.messages}
        try:
            path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", "utf-8")
        except OSError as error:
            raise InvalidRequestError(
                "/save", f"{str(path)!r} cannot be written: {error.strerror}"
            ) from None
        self.saved.add(path)
        return f"saved {len(self.messages) // 2} turns to {path}"

    def command(self, line: str) -> str:
        """Carry out a slash command (all but /model NAME and /exit) and say what came of it."""
        name, _, rest = line.partition(" ")
        rest = rest.strip()
        if name == "/system":
            if rest:
                self.system = None if rest == "-" else rest
                return "the system message is " + ("gone" if self.system is None else "set")
            return self.system or "there is no system message"
        if name == "/reset":
            self.messages.clear()
            return "everything said is forgotten"
        if name == "/save":
            return self.save(rest)
        if name == "/model":
            return self.model
        if name == "/help":
            return HELP
        near = get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean {near[0]}?" if near else "/help lists them"
        return f"there is no command {name}; {hint}"


def read_message(ask: Callable[[str], str]) -> str:
    """One message, of one line or several, from ``ask(prompt)``, which gives a line at a time.

    Raises what ``ask`` raises: EOFError when nothing is left to read.
    """
    line = ask("you> ")
    if line.strip().startswith('"""'):
        lines = [line.strip()[3:]]
        while not lines[-1].rstrip().endswith('"""'):
            lines.append(ask("...> "))
        lines[-1] = lines[-1].rstrip()[:-3]
        return "\n".join(lines).strip("\n")
    lines = [line]
    while lines[-1].endswith("\\"):
        lines[-1] = lines[-1][:-1]
        lines.append(ask("...> "))
    return "\n".join(lines)
