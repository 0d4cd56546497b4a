"""Run by ``test_native.py`` in a process of its own: random matrices and networks on a library
built with sanitisers, every matrix in memory of exactly its size.

Arguments: the library, how many cases.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from studiolo.nn import native
from studiolo.nn.config import DecoderConfig, LayerConfig, RopeConfig
from tests.nn.packs import (
    ALL_FORMS,
    RandomNetwork,
    product,
    random_adapter,
    random_packed,
    read,
)


class Exact:
    """Memory whose ends the sanitiser watches."""

    def __init__(self) -> None:
        self.kept: list[np.ndarray[tuple[int], np.dtype[np.uint8]]] = []

    def take(self, size: int) -> int:
        self.kept.append(np.empty(size, np.uint8))
        return self.kept[-1].ctypes.data


def main(library: str, cases: int) -> None:
    native._path = lambda: Path(library)
    native._Arena = Exact  # type: ignore[assignment,misc]
    native._slab = bytearray  # type: ignore[assignment]
    rng = np.random.default_rng(cases)
    forms = list(ALL_FORMS.values())
    for case in range(cases):
        form = forms[case % len(forms)]
        outputs, inputs = int(rng.integers(1, 70)), int(rng.integers(1, 200))
        inputs = -(-inputs // form.unit) * form.unit
        weight, table = (random_packed(form, n, inputs, rng) for n in (outputs, 30))
        weight.scale.view(-1)[::3] = float(rng.choice([np.inf, np.nan, 65504, -(2.0**-24)]))
        tokens = rng.integers(0, 30, int(rng.integers(1, 31))).tolist()
        config = DecoderConfig(
            architecture="test",
            vocabulary=31,
            width=int(rng.integers(1, 50)),
            heads=6,
            kv_heads=int(rng.choice([1, 2, 6])),
            head_size=2 * int(rng.integers(1, 12)),
            mlp_width=int(rng.integers(1, 50)),
            context=64,
            layers=(LayerConfig(sliding=True), LayerConfig()),
            window=int(rng.integers(1, 40)),
            rope=RopeConfig() if case % 2 else None,
            norm="rms" if case % 3 else "layer",
            gated=bool(case % 2),
        )
        network = RandomNetwork(config, case)
        for level in native.levels():
            player = native.Native(level=level, threads=1 + case % 2)
            product(player, table, weight, tokens)
            text = rng.integers(0, 31, int(rng.integers(1, 60))).tolist()
            decoder = network.on(player)
            worn = decoder.adapt(random_adapter(config, case)) if case % 4 else None
            read(decoder, text, *([len(text) // 2] if len(text) > 1 else []), adapter=worn)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
    print("clean")
