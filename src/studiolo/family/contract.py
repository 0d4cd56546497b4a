"""The contract of a family: what every generative model promises.

Whatever the family, making something is *begin → advance → … → finish*: a token,
a denoising step, a tile of rays, or one single step. A loop that knows only this
file can run them all, batch them together, show previews and cancel between steps.

Requests, progresses and samples are plain values. A progress owns its random
stream, so that neighbours in a batch cannot change what it draws.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

Request = TypeVar("Request", contravariant=True)
Batch = TypeVar("Batch", contravariant=True)
Sample = TypeVar("Sample", covariant=True)


@dataclass(frozen=True)
class Loss:
    """A scalar to minimise (nats unless the family says otherwise) and its named parts."""

    total: Tensor
    parts: Mapping[str, Tensor] = field(default_factory=dict)


class Progress(Protocol):
    """One sample on its way. ``done`` turns true when no step is left.

    ``least`` and ``demand`` bound what its next step may do, in units of work of the family's
    own choosing: tokens to read for a text, 1 for a picture's step. Whoever plans a step grants
    something between the two, so that one large piece of work need not stall the others; a step
    that cannot be split has ``least == demand``. Both are at least 1 until it is done.
    """

    @property
    def done(self) -> bool:
        """Whether no step is left."""

    @property
    def least(self) -> int:
        """Units of work below which a step makes no sense."""

    @property
    def demand(self) -> int:
        """Units of work that the next step could use."""

    def preview(self) -> object:
        """What there is to show so far, cheaply; its type is the family's own."""


P = TypeVar("P", bound=Progress)


class GenerativeModel(Protocol[Request, P, Sample]):
    """What the loop needs of a family in order to make samples."""

    def weigh(self, request: Request) -> int:
        """Check the request; the bytes, beside the weights, that it may come to hold at most.

        Touches nothing that another thread may be changing: it is asked before a request is
        let in, while others are advanced. Raises what :meth:`begin` would raise.
        """

    def begin(self, request: Request, rng: torch.Generator) -> P:
        """Check the request and set out; nothing heavy happens yet."""

    def advance(self, progresses: Sequence[P], grants: Sequence[int]) -> Mapping[int, Exception]:
        """Take one step in every progress, together: ``grants[i]`` units of work in the i-th.

        ``least <= grants[i] <= demand`` of that progress, and none of them is done. Returns
        what failed, by place in ``progresses``: those are never advanced again, and the others
        went on as if the failed had not been there. To raise is to say that all of them failed.
        """

    def finish(self, progress: P) -> Sample:
        """The sample of a progress, whether it is done or was cut short."""


@runtime_checkable
class Interruptible(Protocol):
    """The ability to break off a long step when somebody comes who should not wait for it."""

    def interrupt(self) -> None:
        """Have the ``advance`` under way, if it can, raise :class:`InterruptedStepError`.

        Every progress is then as it was before. Any thread may ask; it asks in vain when no step,
        or another one, is under way by now.
        """


class Trainable(Protocol[Batch]):
    """What the training loop needs of a family."""

    def loss(self, batch: Batch) -> Loss:
        """The loss of one batch, differentiable in the parameters."""


@runtime_checkable
class HasLikelihood(Protocol):
    """The ability to say how likely given data are, exactly."""

    def log_likelihood(
        self, tokens: Tensor, report: Callable[[int], None] = lambda done: None
    ) -> Tensor:
        """Natural-log probability of each token but the first, given those before it.

        ``tokens``: int64 ``[T]``. Returns float32 ``[T - 1]``, in nats. ``report`` is told,
        every now and then and at the end, how many of the ``T - 1`` are done.
        """
