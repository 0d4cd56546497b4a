"""From a name on the command line to a model that is ready, fetched first if it must be."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from studiolo.task.embedding import EmbeddingModel
    from studiolo.task.text import LanguageModel

STARTER = "smollm2-135m-instruct"
ENCODER = "all-minilm-l6-v2"
"""Equal to the catalogue's defaults, which a test checks; importing those takes longer."""


class Cache(StrEnum):
    """What keys and values are kept as; those of :mod:`studiolo.nn.tape`."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        metavar="MODEL",
        help="A name that `studiolo models` lists, a .gguf file, or a Hugging Face directory.",
    ),
]
DeviceOption = Annotated[
    str, typer.Option(help="Where to run: auto, cpu, or cuda.", metavar="DEVICE")
]


CacheOption = Annotated[
    Cache,
    typer.Option(
        "--kv-cache", help="Keep keys and values as this; bfloat16 takes half the memory."
    ),
]


def load_model(name: str, device: str, kv_cache: Cache = Cache.FLOAT32) -> LanguageModel:
    """The model of that name; what is fetched for it shows a bar on standard error."""
    import studiolo

    fetch(name)
    return studiolo.load(name, device=device, kv_cache=kv_cache.value)


def load_encoder(name: str, device: str) -> EmbeddingModel:
    """As :func:`load_model`, for a model that makes vectors of texts."""
    import studiolo

    fetch(name)
    return studiolo.load_encoder(name, device=device)


def fetch(name: str) -> None:
    """Have the model of that name here, with a bar on standard error if it must come."""
    from studiolo.bundle.pull import ensure
    from studiolo.bundle.store import find
    from studiolo.cli.models import reporting

    if find(name) is None:
        with reporting(quiet=False) as report:
            ensure(name, report=report)
