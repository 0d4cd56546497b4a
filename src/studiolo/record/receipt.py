"""A receipt: what was made, of what, how; enough to make it again and compare the bits.

One JSON document. Prompt, settings and output stand in it in full, beside their digests: it is
the user's own file, and a replay that differs should say where. *Numbers of the output are
bits*: a log-probability is the eight hexadecimal digits of its float32, a beam's score the
sixteen of its float64, so that nothing depends on how a number is printed. *The bytes are
canonical* (keys sorted, no spaces, ASCII), so that equal receipts are equal files; a file that
was merely laid out anew is still read. *A digest is of canonical JSON*, and is checked when a
receipt is read: one that contradicts itself is refused.

This module does not know models; :mod:`studiolo.task.replay` makes things again.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, ValidationError, model_validator

from studiolo.bundle.manifest import Frozen, Sha256, plainly
from studiolo.errors import InvalidRequestError, MalformedFileError, ReplayError
from studiolo.family.autoregressive import FinishReason, TokenChoice
from studiolo.sampler.constraint import Kind
from studiolo.sampler.settings import Decoding

FORMAT: Final = 1
MAX_BYTES = 256 << 20
MAX_SAMPLES = 128

Whole = Annotated[int, Field(ge=0, lt=1 << 63, strict=True)]
Single = Annotated[str, Field(pattern=r"^[0-9a-f]{8}$", description="bits of a float32")]
Double = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$", description="bits of a float64")]


class Rule(Frozen):
    """A constraint, as :class:`studiolo.sampler.constraint.Constraint` holds it."""

    kind: Kind
    source: str


class Adapter(Frozen):
    """What the model was changed by. ``weights``: digest of its files."""

    name: str
    weights: Sha256


class Asked(Frozen):
    """One request, with nothing left to be chosen. ``decoding``: every field there was.

    ``watermark``: :attr:`~studiolo.sampler.watermark.Watermark.digest` of what it was marked with.
    """

    prompt: tuple[Whole, ...]
    max_tokens: Whole
    decoding: Mapping[str, int | float | Mapping[str, float]]
    n: Annotated[int, Field(ge=1, le=MAX_SAMPLES, strict=True)]
    seed: Whole
    stop: tuple[str, ...]
    ignore_eos: Annotated[bool, Field(strict=True)]
    log_probs: Whole | None = None
    constraint: Rule | None = None
    adapter: Adapter | None = None
    watermark: Sha256 | None = None

    def options(self) -> dict[str, Any]:
        """What :meth:`LanguageModel.generate` takes, beside the prompt, to do the same again.

        Where the adapter lies, and what the key of the watermark is, a receipt does not know.
        """
        named = ("max_tokens", "n", "seed", "stop", "ignore_eos", "log_probs")
        options = {name: getattr(self, name) for name in named} | dict(self.decoding)
        if self.constraint is not None:
            kind, source = self.constraint.kind, self.constraint.source
            options[kind] = json.loads(source) if kind == "choices" else source
        return options


class Output(Frozen):
    """One sample. ``text``: SHA-256 of its UTF-8. ``top``: id and bits, of every token."""

    token_ids: tuple[Whole, ...]
    finish_reason: Literal["stop", "length"]
    text: Sha256
    log_probs: tuple[Single, ...] | None = None
    top: tuple[tuple[tuple[Whole, Single], ...], ...] | None = None
    score: Double | None = None

    @classmethod
    def of(
        cls,
        token_ids: Sequence[int],
        finish_reason: FinishReason,
        text: str,
        log_probs: Sequence[TokenChoice] | None,
        score: float | None,
    ) -> Self:
        """From what a model made. Raises :class:`InvalidRequestError` if it was cut short."""
        if finish_reason == "cancelled":
            raise InvalidRequestError(
                "generation", "was cancelled: when that happens cannot be made again"
            )
        return cls(
            token_ids=tuple(token_ids),
            finish_reason=finish_reason,
            text=hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest(),
            log_probs=None if log_probs is None else tuple(single(c.log_prob) for c in log_probs),
            top=None
            if log_probs is None
            else tuple(tuple((id, single(p)) for id, p in c.top) for c in log_probs),
            score=None if score is None else struct.pack(">d", score).hex(),
        )

    @model_validator(mode="after")
    def _one_of_each_a_token(self) -> Self:
        for recorded in (self.log_probs, self.top):
            if recorded is not None and len(recorded) != len(self.token_ids):
                raise ValueError("log-probabilities and tokens are not equally many")
        return self


class Engine(Frozen):
    """What computed it. ``arithmetic``: :attr:`Network.identity`; ``libraries``: by name."""

    studiolo: str
    arithmetic: str
    libraries: Mapping[str, str]


class Model(Frozen):
    """Whose it is. ``weights``: digest of the bundle."""

    name: str
    weights: Sha256


class Digests(Frozen):
    """SHA-256 of canonical JSON: of the prompt's ids, of all else that was asked, of the output.

    ``output`` is of token ids, reasons and bits; the text follows from those and has its own.
    """

    prompt: Sha256
    settings: Sha256
    output: Sha256

    @classmethod
    def of(cls, asked: Asked, outputs: Sequence[Output]) -> Self:
        """Computed."""
        settings = asked.model_dump(mode="json", exclude={"prompt"}, exclude_none=True)
        made = [
            each.model_dump(mode="json", exclude={"text"}, exclude_none=True) for each in outputs
        ]
        return cls(
            prompt=_digest(list(asked.prompt)), settings=_digest(settings), output=_digest(made)
        )


class Receipt(Frozen):
    """All of it; ``outputs`` in the order of the samples, or the best beam first."""

    format: Literal[1] = FORMAT
    engine: Engine
    model: Model
    asked: Asked
    outputs: Annotated[tuple[Output, ...], Field(min_length=1, max_length=MAX_SAMPLES)]
    digests: Digests

    @classmethod
    def of(cls, engine: Engine, model: Model, asked: Asked, outputs: Sequence[Output]) -> Self:
        """A receipt, its digests computed."""
        return cls(
            engine=engine,
            model=model,
            asked=asked,
            outputs=tuple(outputs),
            digests=Digests.of(asked, outputs),
        )

    @model_validator(mode="after")
    def _does_not_contradict_itself(self) -> Self:
        Decoding.checked(**self.asked.decoding)
        computed = Digests.of(self.asked, self.outputs)
        for name in Digests.model_fields:
            if getattr(self.digests, name) != getattr(computed, name):
                raise ValueError(f"digests.{name} is not that of the content")
        return self

    @property
    def digest(self) -> str:
        """SHA-256 of the receipt itself."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def to_bytes(self) -> bytes:
        """The canonical file: one line of ASCII JSON."""
        return _canonical(self.model_dump(mode="json", exclude_none=True)) + b"\n"

    @classmethod
    def parse(cls, data: bytes, where: str = "the receipt") -> Self:
        """The receipt in ``data``; ``where`` is named in errors.

        Raises :class:`MalformedFileError` for what is none or contradicts itself, and
        :class:`ReplayError` for one of another format.
        """
        try:
            value = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise MalformedFileError(f"{where} is not JSON: {error!s:.200}") from None
        if not isinstance(value, dict):
            raise MalformedFileError(f"{where} is no receipt: it holds no JSON object")
        version = value.get("format")
        if isinstance(version, int) and version > FORMAT:
            raise ReplayError(
                f"{where} is of format {version:,}, and this Studiolo knows formats up to {FORMAT}",
                remedy="Update Studiolo.",
            )
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            raise MalformedFileError(f"{where} is no receipt: {plainly(error)}") from None
        except InvalidRequestError as error:
            raise MalformedFileError(f"{where}: asked.decoding: {error.message}") from None

    @classmethod
    def read(cls, path: Path) -> Self:
        """The receipt in a file; as :meth:`parse`.

        Raises :class:`InvalidRequestError` for a file that cannot be read.
        """
        try:
            with path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except OSError as error:
            why = f"{str(path)!r} cannot be read: {error.strerror}"
            raise InvalidRequestError("file", why) from None
        if len(data) > MAX_BYTES:
            raise MalformedFileError(f"{path} is larger than any receipt ({MAX_BYTES:,} bytes)")
        return cls.parse(data, str(path))


@dataclass(frozen=True)
class Difference:
    """Where two outputs first differ: sample and token count from 0; None: of the whole.

    ``what``: ``samples``, ``token``, ``log_prob``, ``top``, ``finish_reason``, ``score``, ``text``.
    """

    what: str
    sample: int | None
    token: int | None
    then: str
    now: str

    def __str__(self) -> str:
        place = "" if self.sample is None else f" of sample {self.sample + 1}"
        if self.token is not None:
            place += f" at token {self.token + 1}"
        return f"{self.what}{place}: {self.then} then, {self.now} now"


def difference(then: Receipt, now: Receipt) -> Difference | None:
    """The first difference between two outputs, or None if they agree to the bit."""
    if len(then.outputs) != len(now.outputs):
        counts = str(len(then.outputs)), str(len(now.outputs))
        return Difference("samples", None, None, *counts)
    for i, (a, b) in enumerate(zip(then.outputs, now.outputs, strict=True)):
        if a != b:
            return _within(i, a, b)
    return None


def _within(sample: int, a: Output, b: Output) -> Difference:
    for t in range(max(len(a.token_ids), len(b.token_ids))):
        for what in ("token_ids", "log_probs", "top"):
            x, y = (_at(getattr(each, what), t) for each in (a, b))
            if x != y:
                name = {"token_ids": "token", "log_probs": "log_prob"}.get(what, what)
                return Difference(name, sample, t, _shown(what, x), _shown(what, y))
    for what in ("finish_reason", "score", "text"):
        x, y = getattr(a, what), getattr(b, what)
        if x != y:
            return Difference(what, sample, None, str(x), str(y))
    return Difference("log_probs", sample, None, *(str(e.log_probs is not None) for e in (a, b)))


def _at(values: Sequence[object] | None, place: int) -> object:
    return values[place] if values is not None and place < len(values) else None


def _shown(what: str, value: object) -> str:
    if value is None:
        return "none"
    if what == "log_probs":
        (number,) = struct.unpack(">f", bytes.fromhex(str(value)))
        return f"{number:.9g} ({value})"
    return f"{value}"


def single(value: float) -> str:
    """The bits of a float32, in hexadecimal, the sign first."""
    return struct.pack(">f", value).hex()


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def _digest(value: object) -> str:
    return hashlib.sha256(_canonical(value)).hexdigest()
