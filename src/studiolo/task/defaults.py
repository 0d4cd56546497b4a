"""How a model's own makers would have it decoded, where their files say so."""

from __future__ import annotations

from collections.abc import Mapping

from studiolo.bundle.store import Bundle
from studiolo.errors import InvalidRequestError, MalformedFileError
from studiolo.sampler.settings import Decoding


def recommended(bundle: Bundle, generation: Mapping[str, object]) -> Decoding:
    """The bundle's settings, else those of ``generation``, its generation_config.json.

    Raises :class:`MalformedFileError` for what there says that no setting can be.
    """
    if bundle.installed is not None and bundle.installed.defaults:
        return Decoding.checked(**_whole_numbers(bundle.installed.defaults))
    names = ("temperature", "top_k", "top_p", "min_p", "typical_p", "repetition_penalty")
    given = {name: generation[name] for name in names if generation.get(name) is not None}
    if generation.get("do_sample") is False:  # greedy: what shapes a draw means nothing
        kept = {name: given[name] for name in given if name == "repetition_penalty"}
        given = {"temperature": 0.0, **kept}
    try:
        return Decoding.checked(**given)
    except InvalidRequestError as error:
        raise MalformedFileError(
            f"{bundle.path / 'generation_config.json'}: {error.message}"
        ) from None


def _whole_numbers(defaults: Mapping[str, float]) -> dict[str, object]:
    """A manifest keeps every setting as a float; those that count are whole."""
    counts = {name for name, field in Decoding.model_fields.items() if field.annotation is int}
    return {name: int(v) if name in counts else v for name, v in defaults.items()}
