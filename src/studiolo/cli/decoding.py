"""The dials of decoding as command-line options, made from the settings' own model.

Name, type and help text stand in :class:`studiolo.sampler.settings.Decoding` alone. An
option that is not given is not passed on, so that the model's own defaults hold.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection
from typing import Annotated, Any

import typer

from studiolo.errors import InvalidRequestError
from studiolo.sampler.settings import Decoding

PANEL = "Decoding (what is not given is as the model recommends)"


def with_decoding(
    only: Collection[str] = tuple(Decoding.model_fields),
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command, in place of its ``**decoding``, one option for each setting in ``only``.

    The command receives those that the user gave, checked as far as they can be without a
    model, so that a slip is reported before anything is loaded.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def called(**values: Any) -> None:
            given = {name: values.pop(name) for name in only}
            decoding = {name: value for name, value in given.items() if value not in (None, [])}
            if "logit_bias" in decoding:
                decoding["logit_bias"] = parse_logit_bias(decoding["logit_bias"])
            Decoding.checked(**decoding)
            command(**values, **decoding)

        signature = inspect.signature(command, eval_str=True)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        options = [_option(name) for name in only]
        called.__signature__ = signature.replace(parameters=own + options)  # type: ignore[attr-defined]
        # typer also asks for type hints, and would find those of `command`.
        called.__annotations__ = {p.name: p.annotation for p in own + options}
        del called.__wrapped__
        return called

    return decorate


def parse_logit_bias(pairs: list[str]) -> dict[int, float]:
    """``["50=-100", "7=1.5"]`` as ``{50: -100.0, 7: 1.5}``."""
    bias = {}
    for pair in pairs:
        token, _, value = pair.partition("=")
        try:
            bias[int(token)] = float(value)
        except ValueError:
            raise InvalidRequestError(
                "logit_bias",
                f"{pair!r} is not a token id and a number",
                remedy="Write --logit-bias ID=VALUE; `studiolo next` shows token ids.",
            ) from None
    return bias


def _option(name: str) -> inspect.Parameter:
    field = Decoding.model_fields[name]
    kind: Any = list[str] if name == "logit_bias" else field.annotation
    metavar = "ID=VALUE" if name == "logit_bias" else None
    option = typer.Option(help=field.description, metavar=metavar, rich_help_panel=PANEL)
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[kind | None, option],
    )
