"""Make again what a receipt tells of, and compare the bits.

The model, and the adapter if there was one, are found by the digest of their weights, wherever they
lie here and whatever they are called.
What cannot be compared (other weights, another arithmetic) is refused before anything is made;
a mere difference is a result, and no error. Versions of Studiolo and of libraries may differ:
equal arithmetic promises equal bits, and a replay is how to find out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from studiolo.bundle.adapter import adapter_digest, find_adapter, installed_adapters
from studiolo.bundle.store import Bundle, find, installed, verify
from studiolo.errors import ReplayError, StudioloError
from studiolo.record.receipt import Difference, Receipt, difference
from studiolo.record.secret import watermark
from studiolo.sampler.watermark import Watermark
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


def replay(
    path: str | os.PathLike[str],
    *,
    model: str | os.PathLike[str] | None = None,
    adapter: str | os.PathLike[str] | None = None,
) -> Replay:
    """Make again what the receipt at ``path`` tells of.

    ``model``, ``adapter``: names or paths to take them from; otherwise those with the right weights
    are looked for among the installed. Raises :class:`ReplayError` where nothing can be compared,
    the errors of :meth:`Receipt.read`, and :class:`ChecksumError` if the outputs differ because
    the model's files have changed.
    """
    then = Receipt.read(Path(path))
    bundle, worn, mark = _model_of(then, model), _adapter_of(then, adapter), _mark_of(then)
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
    made = lm.generate(then.asked.prompt, adapter=worn, watermark=mark, **then.asked.options())
    now = lm.receipt(made)
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


def _adapter_of(receipt: Receipt, given: str | os.PathLike[str] | None) -> Path | None:
    worn = receipt.asked.adapter
    if worn is None:
        if given is not None:
            raise ReplayError("the receipt tells of no adapter", remedy="Leave it out.")
        return None
    if given is not None:
        path = find_adapter(given)
        digest = adapter_digest(path)
        if digest != worn.weights:
            raise ReplayError(
                f"{path} is another adapter than the receipt's {worn.name!r}: {digest}, "
                f"not {worn.weights}"
            )
        return path
    for name in sorted(installed_adapters(), key=lambda name: name != worn.name):
        path = find_adapter(name)
        with suppress(StudioloError):  # one that cannot be read is not the one
            if adapter_digest(path) == worn.weights:
                return path
    raise ReplayError(
        f"no installed adapter has the weights of the receipt's {worn.name!r}: {worn.weights}",
        remedy="Say with --adapter (adapter=) where it is.",
    )


def _mark_of(receipt: Receipt) -> Watermark | None:
    if receipt.asked.watermark is None:
        return None
    mark = watermark()
    if mark.digest != receipt.asked.watermark:
        raise ReplayError(
            "the text was marked with the key of another installation: other words would be drawn",
            remedy="Replay it where it was made, or with that master secret in STUDIOLO_SECRET.",
        )
    return mark


def _candidates(name: str) -> Iterator[Bundle]:
    """The installed, that of the receipt's name first."""
    yield from sorted(installed(), key=lambda bundle: bundle.name != name)
