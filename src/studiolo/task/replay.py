"""Make again what a receipt tells of, and compare the bits.

The model is found by the digest of its weights, wherever it lies here and whatever it is called.
What cannot be compared (other weights, another arithmetic) is refused before anything is made;
a mere difference is a result, and no error. Versions of Studiolo and of libraries may differ:
equal arithmetic promises equal bits, and a replay is how to find out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from studiolo.bundle.store import Bundle, find, installed, verify
from studiolo.errors import ReplayError
from studiolo.record.receipt import Difference, Receipt, difference
from studiolo.task.load import checked_device
from studiolo.task.text import LanguageModel


@dataclass(frozen=True)
class Replay:
    """Two receipts, and where their outputs first differ, if they do."""

    then: Receipt
    now: Receipt
    difference: Difference | None

    @property
    def agrees(self) -> bool:
        """Whether everything that was recorded came out again, bit for bit."""
        return self.difference is None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        then, now = self.then, self.now
        return {
            "agrees": self.agrees,
            "difference": None if self.difference is None else asdict(self.difference),
            "model": then.model.model_dump(),
            "samples": len(then.outputs),
            "tokens": sum(len(each.token_ids) for each in then.outputs),
            "output": {"then": then.digests.output, "now": now.digests.output},
            "engine": {"then": then.engine.model_dump(), "now": now.engine.model_dump()},
        }


def replay(path: str | os.PathLike[str], *, model: str | os.PathLike[str] | None = None) -> Replay:
    """Make again what the receipt at ``path`` tells of.

    ``model``: a name or a path to take the model from; otherwise one with the right weights is
    looked for among the installed. Raises :class:`ReplayError` where nothing can be compared,
    the errors of :meth:`Receipt.read`, and :class:`ChecksumError` if the outputs differ because
    the model's files have changed.
    """
    then = Receipt.read(Path(path))
    bundle = _model_of(then, model)
    arithmetic = then.engine.arithmetic
    # An unknown arithmetic is loaded as floats, and then refused by its name.
    device = checked_device("cuda" if arithmetic.endswith(" cuda") else "cpu")
    lm = LanguageModel.open(
        bundle,
        device=device,
        packed=arithmetic.startswith("packed "),
        cached="bfloat16" if arithmetic.endswith(" bfloat16 cache") else "float32",
    )
    if lm.model.network.identity != arithmetic:
        raise ReplayError(
            f"the receipt's arithmetic is {arithmetic!r}, and here it is "
            f"{lm.model.network.identity!r}: other bits would come out",
            remedy=f"It was made by Studiolo {then.engine.studiolo} with "
            + ", ".join(f"{name} {each}" for name, each in then.engine.libraries.items())
            + "; install those to compare.",
        )
    now = lm.receipt(lm.generate(then.asked.prompt, **then.asked.options()))
    found = difference(then, now)
    if found is not None:
        verify(bundle)
    return Replay(then, now, found)


def _model_of(receipt: Receipt, given: str | os.PathLike[str] | None) -> Bundle:
    weights = receipt.model.weights
    if given is not None:
        bundle = find(given)
        if bundle is None:
            raise ReplayError(f"there is no model {os.fspath(given)!r} here")
        if bundle.digest != weights:
            raise ReplayError(
                f"{bundle.name} has other weights than the receipt's model {receipt.model.name}: "
                f"{bundle.digest}, not {weights}"
            )
        return bundle
    for bundle in _candidates(receipt.model.name):
        if bundle.digest == weights:
            return bundle
    raise ReplayError(
        f"no installed model has the weights of the receipt's {receipt.model.name!r}: {weights}",
        remedy="Pull it, or say with --model (model=) where it is.",
    )


def _candidates(name: str) -> Iterator[Bundle]:
    """The installed, that of the receipt's name first."""
    yield from sorted(installed(), key=lambda bundle: bundle.name != name)
