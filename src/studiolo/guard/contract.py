"""Contracts of form: a whole output that must be JSON, and as a schema says.

Constrained decoding makes such output in the first place; this is the check for models elsewhere,
and the last one before anything leaves. No reference leads out of the schema: nothing is fetched.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from studiolo.errors import MissingExtraError


def checked_schema(schema: Mapping[str, Any]) -> Any:
    """A validator for ``schema``; raises ValueError if it is none."""
    try:
        from jsonschema import Draft202012Validator
        from jsonschema.exceptions import SchemaError
        from referencing import Registry
    except ImportError:
        raise MissingExtraError("a contract of form", "guard") from None
    try:
        Draft202012Validator.check_schema(dict(schema))
    except SchemaError as error:
        raise ValueError(f"is no JSON schema: {error.message[:200]}") from None
    return Draft202012Validator(dict(schema), registry=Registry())


def breaks(validator: Any, text: str) -> bool:
    """Whether ``text`` is no JSON (RFC 8259) or not as the schema says."""

    def constant(name: str) -> None:
        raise ValueError(name)  # NaN and Infinity are Python's, not JSON's

    try:
        value = json.loads(text, parse_constant=constant)
    except (ValueError, RecursionError):
        return True
    return not validator.is_valid(value)
