"""How Bedrock's clients name a model: as it is called here, or by an ARN that ends so."""

from __future__ import annotations

import re

MODEL = {"model": "modelId"}
"""What the address calls the model, for errors that name it."""
_ARN = re.compile(r"arn:aws[a-z-]*:bedrock:[a-z0-9-]*:[0-9]*:[a-z-]+/(.+)")


def name_of(identifier: str) -> str:
    """The model's name: of an ARN what follows the kind of resource, else ``identifier``."""
    found = _ARN.fullmatch(identifier)
    return identifier if found is None else found[1]


def arn_of(name: str) -> str:
    """The ARN of a model here; its region is none of Amazon's."""
    return f"arn:aws:bedrock:local::foundation-model/{name}"
