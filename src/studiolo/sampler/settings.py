"""The dials of decoding, with their bounds and their help text.

Notable choices. The help text stands in each field's description: the command line
and the docs are generated from it. At its default every dial is off, so that
``Decoding()`` samples from the model's own distribution. Bounds are those of the
definitions, or of the OpenAI API where a definition has none, so that a slip (a
``top_p`` of 95) is refused and not obeyed. Beam search maximises and does not draw:
settings that only shape a draw are refused beside it.

This module does not know what the dials do (``strategies``, ``beam``), nor any
model: whether a token id exists is asked through :func:`check_vocabulary`.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Self

from annotated_types import Ge, Gt, Le
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from studiolo.errors import InvalidRequestError

MIN_TEMPERATURE = 1e-6
"""Below this, float32 logits divided by the temperature could overflow."""

MAX_BIAS = 100.0

SAMPLING_ONLY: Mapping[str, tuple[float, ...]] = {
    "temperature": (1.0, 0.0),
    "top_k": (0,),
    "top_p": (1.0,),
    "min_p": (0.0,),
    "typical_p": (1.0,),
}
"""Dials that only shape a draw, with the values that beam search accepts."""


class Decoding(BaseModel):
    """How the next token is chosen. Immutable; make one with :meth:`checked`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    temperature: float = Field(
        1.0,
        ge=0,
        le=100,
        strict=True,
        description="Divides the logits: below 1 sharpens, above 1 flattens, 0 always takes "
        "the likeliest token.",
    )
    top_k: int = Field(
        0,
        ge=0,
        le=1_000_000,
        strict=True,
        description="Draw only among this many likeliest tokens; 0 is off.",
    )
    top_p: float = Field(
        1.0,
        ge=0,
        le=1,
        strict=True,
        description="Draw only among the fewest likeliest tokens that together reach this "
        "probability; 1 is off.",
    )
    min_p: float = Field(
        0.0,
        ge=0,
        le=1,
        strict=True,
        description="Drop tokens less likely than this fraction of the likeliest one; 0 is off.",
    )
    typical_p: float = Field(
        1.0,
        ge=0,
        le=1,
        strict=True,
        description="Draw only among the tokens whose surprise is closest to the expected one "
        "and that together reach this probability; 1 is off.",
    )
    repetition_penalty: float = Field(
        1.0,
        ge=0.1,
        le=10,
        strict=True,
        description="Makes every token of the prompt and the text so far less likely (above 1) "
        "or likelier (below 1) by this factor on its logit; 1 is off.",
    )
    presence_penalty: float = Field(
        0.0,
        ge=-2,
        le=2,
        strict=True,
        description="Subtracted from the logit of every token generated already; 0 is off.",
    )
    frequency_penalty: float = Field(
        0.0,
        ge=-2,
        le=2,
        strict=True,
        description="Subtracted from a token's logit once for each time it was generated; "
        "0 is off.",
    )
    logit_bias: Mapping[int, Annotated[float, Ge(-MAX_BIAS), Le(MAX_BIAS)]] = Field(
        default_factory=dict,
        description="Added to the logits of these token ids; -100 all but forbids a token, "
        "100 all but forces it.",
    )
    beams: int = Field(
        1,
        ge=1,
        le=64,
        strict=True,
        description="Search with this many beams for the likeliest text instead of drawing; "
        "1 is off.",
    )
    length_penalty: float = Field(
        1.0,
        ge=-10,
        le=10,
        strict=True,
        description="Beam search divides a text's log-probability by its length to this power: "
        "above 0 favours longer texts, below 0 shorter ones.",
    )

    @property
    def draws(self) -> bool:
        """Whether there is chance in the choice of a token."""
        return self.beams == 1 and self.temperature > 0

    @classmethod
    def checked(cls, **values: object) -> Self:
        """Settings from ``values``, or an error that names field, value and range.

        Raises:
            InvalidRequestError: for an unknown name (with the nearest known one), a value
                outside its range, NaN or infinity, or a draw-shaping dial beside beams.
        """
        for name in values:
            if name not in cls.model_fields:
                near = get_close_matches(name, cls.model_fields, n=1, cutoff=0.5)
                hint = f"Did you mean {near[0]}? " if near else ""
                raise InvalidRequestError(
                    name,
                    "there is no such decoding setting",
                    remedy=f"{hint}The settings are {', '.join(cls.model_fields)}.",
                )
        try:
            settings = cls.model_validate(values)
        except ValidationError as error:
            raise _named(error, values) from None
        if 0 < settings.temperature < MIN_TEMPERATURE:
            raise InvalidRequestError(
                "temperature",
                f"{settings.temperature!r} is neither 0 nor from {MIN_TEMPERATURE:g} to 100",
                remedy="Use 0 to always take the likeliest token.",
            )
        if settings.beams > 1:
            for name, accepted in SAMPLING_ONLY.items():
                value = getattr(settings, name)
                if value not in accepted:
                    raise InvalidRequestError(
                        name,
                        f"{value!r} shapes a random draw, and beam search "
                        f"(beams={settings.beams}) draws nothing",
                        remedy=f"Leave {name} at {accepted[0]:g}, or set beams to 1.",
                    )
        return settings

    def replaced(self, **values: object) -> Self:
        """These settings with ``values`` in their place, checked as a whole.

        Meant for a request over a model's recommended defaults: where the request asks
        for beams, recommendations that only shape a draw are dropped and not refused.
        """
        merged: dict[str, object] = {name: getattr(self, name) for name in type(self).model_fields}
        if isinstance(beams := values.get("beams"), int) and beams > 1:
            merged.update({name: accepted[0] for name, accepted in SAMPLING_ONLY.items()})
        return self.checked(**{**merged, **values})


def allowed(name: str) -> str:
    """What values the dial ``name`` takes, in words: ``"a number from 0 to 1"``."""
    if name == "logit_bias":
        return f"a mapping from token ids to numbers from {-MAX_BIAS:g} to {MAX_BIAS:g}"
    field = Decoding.model_fields[name]
    kind = "a whole number" if field.annotation is int else "a number"
    low, high = "", ""
    for bound in field.metadata:
        if isinstance(bound, Ge):
            low = f"from {bound.ge:,}"
        elif isinstance(bound, Gt):
            low = f"above {bound.gt:,}"
        elif isinstance(bound, Le):
            high = f" up to {bound.le:,}" if low.startswith("above") else f" to {bound.le:,}"
    return f"{kind} {low}{high}"


def check_vocabulary(settings: Decoding, vocab_size: int) -> None:
    """Raise :class:`InvalidRequestError` for a biased id outside ``0 … vocab_size - 1``."""
    for token in settings.logit_bias:
        if not 0 <= token < vocab_size:
            raise InvalidRequestError(
                "logit_bias",
                f"token id {token} is not in the model's vocabulary, 0 to {vocab_size - 1:,}",
            )


def _named(error: ValidationError, values: Mapping[str, object]) -> InvalidRequestError:
    """The first of pydantic's findings, in our words."""
    where: tuple[Any, ...] = error.errors()[0]["loc"]
    name = str(where[0])
    shown = repr(values[name])
    if len(where) > 1 and isinstance(bias := values[name], Mapping) and where[1] in bias:
        shown = f"{where[1]!r}: {bias[where[1]]!r}"
    if len(shown) > 80:
        shown = shown[:77] + "..."
    return InvalidRequestError(name, f"{shown} is not {allowed(name)}")
