"""A constraint enforced token by token: which tokens may come next.

:class:`Guides` compiles constraints for one vocabulary and keeps the latest; each request
then walks a :class:`Guide` of its own. The library is llguidance: a lexer of derivatives
under an Earley parser, run over a trie of the vocabulary's bytes.

Notable choices. *Bytes, not text*: a token is what it adds to the text, so half a character
is a token as any other, and any spelling of the right bytes is allowed; where only one
continuation is possible the tokenizer's own spelling of it is taken. *Control tokens are
never allowed*, but for the ends of the request where the constraint may end. *An end of our
own*: the library is given one artificial end token, whatever ends the model knows, so that
"may end" and "must end" are plain to see. *A guide starts from a copy* of one that has not
moved: no request can use up what another needs. *Whatever goes wrong is an error*: the
library turns a failure into "end here", which would pass half a text off as whole.

Limits, those of llguidance: 50,000 parser items and 200,000 steps of its lexer for one token
(some 30 ms), 1,000,000 steps of the lexer to begin with, 250,000 states of it.

This module does not know models, nor what a constraint is for.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import llguidance
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from studiolo.errors import InvalidRequestError
from studiolo.sampler.constraint import Constraint, Kind

KEPT = 64
"""Compiled constraints kept for one vocabulary; one has about a megabyte."""
MAX_ROW_ITEMS = 4000
"""How many things the parser may expect at once; llguidance's 2,000 is reached by an object
of 500 optional properties."""

REMEDIES: dict[Kind, str] = {
    "json_schema": "docs/constraints.md lists what a schema may say.",
    "regex": "The syntax is that of Rust's regex crate: no look-around, no back-references.",
    "grammar": "The syntax is Lark's, in llguidance's dialect; see docs/constraints.md.",
    "choices": "Give fewer or shorter texts.",
}


class Vocabulary(Protocol):
    """What is asked of a tokenizer."""

    @property
    def vocab_size(self) -> int:
        """Ids are below this."""

    @property
    def eos_ids(self) -> frozenset[int]:
        """Tokens that end a text."""

    @property
    def control_ids(self) -> frozenset[int]:
        """Tokens that are no text."""

    def token_bytes(self, token_id: int) -> bytes:
        """What a token adds to a text."""

    def encode(self, text: str, *, add_special: bool) -> list[int]:
        """The ids of a text."""


class Guides:
    """Compiles constraints for one vocabulary; safe to share between threads."""

    def __init__(self, vocabulary: Vocabulary, kept: int = KEPT) -> None:
        self._vocabulary, self._kept = vocabulary, kept
        self._lock = threading.Lock()
        self._compiled: OrderedDict[Constraint, CompiledConstraint] = OrderedDict()
        self._library: tuple[_Spelling, llguidance.LLTokenizer] | None = None

    def compile(self, constraint: Constraint) -> CompiledConstraint:
        """The constraint ready for use, from the cache where it has been asked for lately.

        Raises :class:`InvalidRequestError` for one that cannot be enforced to the letter, that
        nothing satisfies, or that only the empty text does.
        """
        with self._lock:
            if constraint in self._compiled:
                self._compiled.move_to_end(constraint)
                return self._compiled[constraint]
        prepared = constraint.prepared()
        with self._lock:
            if self._library is None:  # a large vocabulary takes about a second
                spelling = _Spelling(self._vocabulary)
                wrapper = llguidance.TokenizerWrapper(spelling)
                self._library = spelling, llguidance.LLTokenizer(wrapper)
            compiled = CompiledConstraint(constraint, prepared, *self._library)
            self._compiled[constraint] = compiled
            while len(self._compiled) > self._kept:
                self._compiled.popitem(last=False)
        return compiled


class CompiledConstraint:
    """A constraint for one vocabulary; immutable."""

    def __init__(
        self,
        constraint: Constraint,
        prepared: str,
        spelling: _Spelling,
        tokenizer: llguidance.LLTokenizer,
    ) -> None:
        self.constraint = constraint
        self._spelling = spelling
        limits = llguidance.LLParserLimits(max_items_in_row=MAX_ROW_ITEMS, verbose_errors=False)
        with _guarded(constraint.kind):
            self._matcher = llguidance.LLMatcher(tokenizer, prepared, log_level=0, limits=limits)
            if self._matcher.is_error():
                raise _refused(constraint.kind, self._matcher.get_error())
            for warning in self._matcher.get_grammar_warnings():
                raise _refused(constraint.kind, warning)
        try:
            first = self.begin(spelling.size, frozenset())
        except InvalidRequestError as error:
            raise InvalidRequestError(
                constraint.kind,
                "no text that this model can write satisfies it",
                remedy=REMEDIES[constraint.kind],
            ) from error
        if first.done:
            raise InvalidRequestError(constraint.kind, "only the empty text satisfies it")

    def begin(self, vocabulary: int, ends: Collection[int]) -> Guide:
        """A guide for one request.

        ``vocabulary``: how many logits the model gives, which may be more or fewer than the
        tokenizer's ids; those without a text are never allowed. ``ends``: ids that end the
        text where the constraint may end; none: go on while anything else is possible.
        """
        with _guarded(self.constraint.kind):
            matcher = self._matcher.deep_copy()
        allowed_ends = np.array([end for end in ends if end < vocabulary], dtype=np.int64)
        return Guide(self.constraint.kind, matcher, self._spelling, vocabulary, allowed_ends)


class Guide:
    """Where one text stands in its constraint.

    ``done``: the text is complete and nothing can be added to it.
    """

    def __init__(
        self,
        kind: Kind,
        matcher: llguidance.LLMatcher,
        spelling: _Spelling,
        vocabulary: int,
        ends: NDArray[np.int64],
    ) -> None:
        self._kind, self._matcher, self._spelling, self._ends = kind, matcher, spelling, ends
        self._bits = np.zeros(-(-len(spelling.tokens) // 32), dtype=np.uint32)
        self._taken = 0
        self.allowed = np.zeros(vocabulary, dtype=np.bool_)
        self.done = False
        self._look()

    def restrict(self, logits: Tensor) -> Tensor:
        """Float32 logits ``[vocabulary]`` on the CPU, ``-inf`` where a token is forbidden."""
        scores = logits.detach().to("cpu", torch.float32).numpy()
        return torch.from_numpy(np.where(self.allowed, scores, np.float32(-np.inf)))

    def take(self, token: int) -> None:
        """Go on past ``token``, which is allowed and no end.

        Raises :class:`InvalidRequestError` if the constraint then leaves nothing, or asks for
        more work than its limits allow.
        """
        with _guarded(self._kind):
            taken = self._matcher.consume_token(token)
        if not taken:
            raise self._stuck()
        self._taken += 1
        self._look()

    def fork(self, token: int) -> Guide:
        """A guide of its own that goes on past ``token``, as beams do."""
        twin = object.__new__(Guide)
        twin.__dict__.update(self.__dict__)
        with _guarded(self._kind):
            twin._matcher = self._matcher.deep_copy()
        twin._bits, twin.allowed = self._bits.copy(), self.allowed.copy()
        twin.take(token)
        return twin

    def _look(self) -> None:
        """See what may come next."""
        with _guarded(self._kind):
            self._matcher.unsafe_compute_mask_ptr(self._bits.ctypes.data, self._bits.nbytes)
        if self._matcher.is_error():  # the mask would say "end here"
            raise self._stuck()
        size = self._spelling.size
        bits = np.unpackbits(self._bits.view(np.uint8), count=size + 1, bitorder="little")
        shared = min(size, len(self.allowed))
        self.allowed[:] = False
        self.allowed[:shared] = bits[:shared]
        may_end = bool(bits[size])
        self.done = may_end and not self.allowed.any()
        if may_end:
            self.allowed[self._ends] = True
        elif not self.allowed.any():
            raise self._stuck()

    def _stuck(self) -> InvalidRequestError:
        why = _first_line(self._matcher.get_error()) or "no token of the vocabulary fits"
        return InvalidRequestError(
            self._kind,
            f"after {self._taken:,} tokens nothing more can be written ({why})",
            remedy=REMEDIES[self._kind],
        )


class _Spelling:
    """The vocabulary as the library sees it.

    ``tokens``: the bytes of the ``size`` ids of the tokenizer, empty for what is no text; then
    one end token; then a token for each byte that the vocabulary cannot spell, so that the
    library may think in bytes. What comes after ``size`` never reaches a model.
    """

    bos_token_id = None

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self.size = size = vocabulary.vocab_size
        hidden = vocabulary.control_ids | vocabulary.eos_ids
        texts = [b"" if id in hidden else vocabulary.token_bytes(id) for id in range(size)]
        known = {text for text in texts if len(text) == 1}
        missing = [bytes([byte]) for byte in range(256) if bytes([byte]) not in known]
        self.tokens: Sequence[bytes] = [*texts, b"<end>", *missing]
        self.eos_token_id = size
        self.special_token_ids = [size]
        self._ids: dict[bytes, int] = {}
        for id, text in enumerate(self.tokens):
            if text and id != size:
                self._ids.setdefault(text, id)
        self._longest = max(map(len, self._ids))

    def __call__(self, text: str | bytes) -> list[int]:
        """Ids that spell ``text`` exactly; the library trusts this and checks nothing."""
        data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
        ids = self._vocabulary.encode(data.decode("utf-8", "replace"), add_special=False)
        if b"".join([self.tokens[id] for id in ids]) == data:
            return ids
        # SentencePiece puts a space before a text, and normalisers change some.
        return list(self._greedy(data))

    def _greedy(self, data: bytes) -> Iterator[int]:
        at = 0
        while at < len(data):
            for length in range(min(self._longest, len(data) - at), 0, -1):
                id = self._ids.get(data[at : at + length])
                if id is not None:
                    yield id
                    at += length
                    break


@contextmanager
def _guarded(kind: Kind) -> Iterator[None]:
    """Turn whatever the library raises, a panic of its Rust too, into our error."""
    try:
        yield
    except InvalidRequestError:
        raise
    except Exception as error:
        raise _refused(kind, str(error)) from error
    except BaseException as error:
        # pyo3's PanicException is no Exception, and cannot be imported.
        if type(error).__name__ != "PanicException":
            raise
        raise _refused(kind, str(error)) from error


def _refused(kind: Kind, why: str) -> InvalidRequestError:
    return InvalidRequestError(
        kind, f"it cannot be enforced: {_first_line(why)}", remedy=REMEDIES[kind]
    )


def _first_line(text: str) -> str:
    """What the library says, on one line and without its drawings."""
    lines = [line.strip() for line in text.replace("<non-verbose/>", "").splitlines()]
    kept = [line for line in lines if line and not set(line) <= set("^|- ") and " | " not in line]
    joined = "; ".join(kept)
    return joined if len(joined) <= 300 else joined[:297] + "..."
