"""From a name on the command line to a model that is ready, fetched first if it must be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from studiolo.task.text import LanguageModel

STARTER = "smollm2-135m-instruct"
"""Equal to the catalogue's default, which a test checks; importing that takes longer."""

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


def load_model(name: str, device: str) -> LanguageModel:
    """The model of that name; what is fetched for it shows a bar on standard error."""
    import studiolo
    from studiolo.bundle.pull import ensure
    from studiolo.bundle.store import find
    from studiolo.cli.models import reporting

    if find(name) is None:
        with reporting(quiet=False) as report:
            ensure(name, report=report)
    return studiolo.load(name, device=device)
