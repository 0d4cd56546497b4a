"""What a run learns, whatever its kind: data read in batches by number, and a loss over them.

An :class:`Objective` is one file beside this one; the loop, the recipe and the publishing do not
know which. Deliberately unknown here: what data are, and what is lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from studiolo.family.contract import Loss
from studiolo.modality.text.tokenizer import Tokenizer
from studiolo.nn.decoder import Decoder
from studiolo.training.recipe import Recipe
from studiolo.training.size import Plan

SWEEP = 1 << 12
"""Tokens read at once in an evaluation: many, since nothing is kept for gradients."""


class Batch(Protocol):
    """A piece of the data."""

    @property
    def tokens(self) -> int:
        """Tokens that are read."""
        ...

    @property
    def weight(self) -> int:
        """What its mean loss is a mean over: how much it counts beside others."""
        ...


B_contra = TypeVar("B_contra", bound=Batch, contravariant=True)
B_co = TypeVar("B_co", bound=Batch, covariant=True)


class Reading(Protocol[B_co]):
    """Batches by number, and one after the other."""

    def at(self, number: int) -> B_co:
        """The batch of that number, from 0; the same whenever it is asked for."""
        ...

    def sweep(self, limit: int | None = None) -> Iterator[B_co]:
        """All once, or about ``limit`` tokens of them, evenly spread."""
        ...


@dataclass(frozen=True)
class Parts:
    """What is learnt from, and what is held out. ``remark``: what people should know of it."""

    training: Reading[Any]
    held_out: Reading[Any]
    remark: str = ""


class Learner(Protocol[B_contra]):
    """A decoder that learns."""

    def loss(self, batch: B_contra) -> Loss:
        """Of one batch, differentiable in what is trained."""
        ...

    def judged(self, batch: B_contra) -> Mapping[str, float]:
        """Without gradients: ``loss``, by which evaluations are compared, and what else is told."""
        ...


class Objective(Protocol):
    """``size``: tokens of all. ``digest``: SHA-256 of the data as they lie there.

    ``held_out``: the part that the data keep for validation themselves; None: the recipe's.
    """

    @property
    def tokenizer(self) -> Tokenizer: ...  # noqa: D102 - said above
    @property
    def size(self) -> int: ...  # noqa: D102
    @property
    def held_out(self) -> float | None: ...  # noqa: D102
    @property
    def digest(self) -> str: ...  # noqa: D102
    @property
    def licence(self) -> str: ...  # noqa: D102

    def parts(self, recipe: Recipe, plan: Plan) -> Parts:
        """Cut or packed as the plan says; raises :class:`InvalidRequestError` for too little."""
        ...

    def prompt(self, recipe: Recipe) -> list[int]:
        """What a sample goes on from: at least one token."""
        ...

    def learner(self, decoder: Decoder, recipe: Recipe) -> Learner[Any]:
        """What learns, of ``decoder`` as it is trained."""
        ...

    def quality(self, parts: Parts, told: Mapping[str, float]) -> dict[str, float]:
        """What is published of the evaluation that ``told`` is the mean of."""
        ...
