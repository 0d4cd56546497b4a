"""Our own dials in bodies of Bedrock: all of :class:`Decoding`, and what else a request may ask.

In ``Converse`` they stand in ``additionalModelRequestFields``, in native bodies beside the body's
own fields. What has a name of Bedrock's already may be said once only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from studiolo.errors import InvalidRequestError
from studiolo.sampler.constraint import KINDS
from studiolo.sampler.settings import Decoding
from studiolo.task.openai.fields import Body, Dials


class Shape(Body):
    """A structure of AWS's, whose members are written so: ``maxTokens``."""

    model_config = ConfigDict(alias_generator=to_camel)


class OwnDials(Dials):
    """The dials of :class:`Decoding`, a seed, ``ignore_eos`` and the constraints."""

    seed: int | None = Field(None, ge=0, lt=2**63)
    ignore_eos: bool | None = None
    json_schema: Mapping[str, Any] | bool | str | None = None
    regex: str | None = None
    grammar: str | None = None
    choices: list[str] | None = None

    def options(self) -> dict[str, Any]:
        """What is given, by the names of :meth:`LanguageModel.prepare`."""
        names = (*Decoding.model_fields, *KINDS, "seed", "ignore_eos")
        found = {name: getattr(self, name) for name in names}
        return {name: value for name, value in found.items() if value is not None}


def joined(own: Mapping[str, Any], theirs: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Both kinds of options, without what is not given.

    ``where`` the own ones stand. Raises :class:`InvalidRequestError` for one that is given twice.
    """
    given = {name: value for name, value in theirs.items() if value is not None}
    for name in own:
        if name in given:
            raise InvalidRequestError(f"{where}{name}", "is given by its other name, too")
    return {**own, **given}
