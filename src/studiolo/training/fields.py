"""Values in YAML, overridden by dotted path and checked against a schema, for every kind of recipe.

A key that is not known is an error that names the nearest; ``--set data.path=FILE`` reads its
value as YAML, so that numbers are numbers, but where the field is text it stays as written; an
entry of a list is named by its number or by its own ``name``. Deliberately unknown here: what any
recipe is for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from studiolo.errors import InvalidRequestError

MAX_BYTES = 1 << 20
_SAID = ("missing", "value_error")
"""Errors whose message says all, so that the value is not shown with it."""


class Section(BaseModel):
    """Values that belong together: frozen, and nothing that is not known."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Schema = TypeVar("Schema", bound=BaseModel)


def shipped_in(*folder: str) -> dict[str, str]:
    """Name to text of every YAML file in that folder of the package's recipes."""
    place = resources.files("studiolo.training").joinpath("recipes", *folder)
    if not place.is_dir():
        return {}
    files = [each for each in place.iterdir() if each.name.endswith(".yaml")]
    return {
        each.name.removesuffix(".yaml"): each.read_text("utf-8")
        for each in sorted(files, key=lambda each: each.name)
    }


def read_values(name_or_path: str, known: Mapping[str, str]) -> dict[str, Any]:
    """The values in a file, or in the text of that name among ``known``.

    Raises :class:`InvalidRequestError` for a file that is not there, too large or no YAML mapping.
    """
    path = Path(name_or_path).expanduser()
    try:
        if path.is_file():
            with path.open(encoding="utf-8") as file:
                text = file.read(MAX_BYTES + 1)
            if len(text) > MAX_BYTES:
                raise InvalidRequestError("recipe", f"{path} is larger than {MAX_BYTES:,} bytes")
        else:
            if name_or_path not in known:
                near = get_close_matches(name_or_path, known, n=1)
                raise InvalidRequestError(
                    "recipe",
                    f"there is no file {name_or_path!r}, nor a recipe of that name",
                    remedy=(f"Did you mean {near[0]}? " if near else "")
                    + f"These ship: {', '.join(known) or 'none'}.",
                )
            text = known[name_or_path]
        value = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequestError("recipe", f"{path} cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise InvalidRequestError("recipe", f"{path} is not YAML: {error}") from None
    if not isinstance(value, dict):
        raise InvalidRequestError("recipe", f"{path} holds no fields, but {type(value).__name__}")
    return value


def override(value: dict[str, Any], setting: str, schema: type[BaseModel]) -> None:
    """Set one value by its dotted path, ``key=value``; the fields themselves are checked later."""
    key, equals, written = setting.partition("=")
    steps = key.strip().split(".")
    if not equals or not all(steps):
        raise InvalidRequestError("set", f"must be key=value, not {setting!r}")
    try:
        read = yaml.safe_load(written) if written else ""
    except yaml.YAMLError:
        read = written
    at: Any = value
    for step in steps[:-1]:
        inner = _entry(at, step, key) if isinstance(at, list) else at.setdefault(step, {})
        if not isinstance(inner, dict | list):
            raise InvalidRequestError("set", f"{step!r} of {key!r} is one value, not a section")
        at = inner
    if isinstance(at, list):
        raise InvalidRequestError("set", f"{key!r} names a whole entry; name a field of it")
    # A path may look like a number or a list; what is text stays as it was written.
    at[steps[-1]] = written if _is_text(steps, schema, read) else read


def checked(value: Mapping[str, Any], schema: type[Schema]) -> Schema:
    """The recipe of these values.

    Raises :class:`InvalidRequestError`, naming the field, for a key that is not known and a value
    that is not allowed.
    """
    try:
        return schema.model_validate(value)
    except ValidationError as error:
        raise explained(error, schema) from None


def explained(error: ValidationError, schema: type[BaseModel]) -> InvalidRequestError:
    """The first thing that is wrong, by its dotted path, with what would be right."""
    first = error.errors(include_url=False)[0]
    path = [str(part) for part in first["loc"]]
    section: Any = schema
    for step in path[:-1]:
        section = section if step.isdigit() else _section(section, step)
    allowed = list(getattr(section, "model_fields", {}))
    name = ".".join(path) or "recipe"
    if first["type"] == "extra_forbidden":
        near = get_close_matches(path[-1], allowed, n=1, cutoff=0.5)
        return InvalidRequestError(
            name,
            "is no field of a recipe",
            remedy=(f"Did you mean {near[0]}? " if near else "")
            + f"Allowed here: {', '.join(allowed)}.",
        )
    given = f", not {first['input']!r:.80}" if first["type"] not in _SAID else ""
    said = first["msg"].removeprefix("Value error, ")
    return InvalidRequestError(name, f"{said[0].lower()}{said[1:]}{given}")


def _entry(entries: list[Any], step: str, key: str) -> Any:
    """The entry of that number or name."""
    for number, entry in enumerate(entries):
        if step in (str(number), entry.get("name") if isinstance(entry, dict) else None):
            return entry
    raise InvalidRequestError("set", f"{key!r}: there is no entry {step!r} among {len(entries)}")


def _section(section: Any, step: str) -> Any:
    """What the field ``step`` holds: the schema inside lists and choices, or the bare type."""
    field = getattr(section, "model_fields", {}).get(step)
    if field is None:
        return section
    found = field.annotation
    while get_origin(found) in (list, tuple, Union, UnionType):
        found = next(
            (each for each in get_args(found) if _is_schema(each)), next(iter(get_args(found)))
        )
    return found


def _is_schema(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _is_text(steps: Sequence[str], schema: type[BaseModel], read: object) -> bool:
    section: Any = schema
    for step in steps[:-1]:
        if getattr(section, "model_fields", {}).get(step) is not None:
            section = _section(section, step)
    field = getattr(section, "model_fields", {}).get(steps[-1])
    if field is None:
        return False
    kinds = get_args(field.annotation) or (field.annotation,)
    listed = any(get_origin(each) in (list, tuple) for each in (field.annotation, *kinds))
    return (
        str in kinds
        and not (listed and isinstance(read, list))
        and get_origin(field.annotation) not in (list, tuple)
    )
