"""What the rules of every step share: they can be switched on and off by one word.

``gopher: false`` in a recipe is short for ``gopher: {apply: false}``.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from studiolo.training.fields import Section

Part = Annotated[float, Field(ge=0, le=1)]
Number = Annotated[int, Field(ge=0, le=2**40, strict=True)]


class Rules(Section):
    """Of one step."""

    apply: bool = Field(True, description="whether the step is taken")

    @model_validator(mode="before")
    @classmethod
    def _switch(cls, value: Any) -> Any:
        return {"apply": value} if isinstance(value, bool) else value
