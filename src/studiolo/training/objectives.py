"""From a recipe to its objective: the one place that knows them all."""

from __future__ import annotations

import hashlib
from pathlib import Path

from studiolo.errors import InvalidRequestError
from studiolo.training.answers import Answers
from studiolo.training.check import trial
from studiolo.training.distil import Distil
from studiolo.training.examples import example, pair, read_all
from studiolo.training.objective import Objective
from studiolo.training.preference import Preferences
from studiolo.training.recipe import Recipe
from studiolo.training.reward import Rewards
from studiolo.training.source import read_source
from studiolo.training.start import Start
from studiolo.training.text import Text

ITS_OWN = {
    "preferences": {"beta"},
    "distil": {"teacher", "temperature"},
    "rewards": {"temperature", "group", "answer_tokens"},
}
"""Fields of ``objective`` that are of some kinds alone."""


def read_objective(recipe: Recipe, start: Start | None, teacher: Start | None) -> Objective:
    """Read or map the data, and say what is learnt of them.

    Raises :class:`InvalidRequestError`, naming the field, for data that do not fit the objective.
    """
    kind = recipe.objective.kind
    for name in sorted(recipe.objective.model_fields_set - {"kind"} - ITS_OWN.get(kind, set())):
        of = " and ".join(each for each, fields in ITS_OWN.items() if name in fields)
        raise InvalidRequestError(
            f"objective.{name}", f"is for {of}, and the objective is {kind}", remedy="Leave it out."
        )
    if kind == "text":
        return Text(read_source(recipe.data, None if start is None else start.tokenizer))
    if kind == "distil":
        if teacher is None:
            raise InvalidRequestError("objective.teacher", "is not given", remedy="Name a model.")
        return Distil(read_source(recipe.data, (start or teacher).tokenizer), teacher)
    if start is None:
        raise InvalidRequestError(
            "objective.kind",
            f"{kind} are learnt by a model that writes already",
            remedy="Name it by start.model.",
        )
    path, tokenizer = _path(recipe), start.tokenizer
    digest, licence = _digest(path), recipe.data.licence
    match kind:
        case "answers":
            return Answers(read_all(path, tokenizer, example), tokenizer, digest, licence)
        case "preferences":
            return Preferences(read_all(path, tokenizer, pair), tokenizer, digest, licence)
        case "rewards":
            return Rewards(read_all(path, tokenizer, trial), tokenizer, digest, licence)


def _path(recipe: Recipe) -> Path:
    if recipe.data.path is None:
        raise InvalidRequestError(
            "data.path", "is not given", remedy="Name a JSONL file: --set data.path=FILE"
        )
    return Path(recipe.data.path).expanduser()


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InvalidRequestError(
            "data.path", f"{str(path)!r} cannot be read: {error.strerror}"
        ) from None
