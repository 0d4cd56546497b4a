"""The folder ``training/`` beside a model: whose run it is, its log, its checkpoints, its report.

Deliberately unknown here: what happens in a run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from studiolo.bundle.huggingface import read_json
from studiolo.errors import InvalidRequestError
from studiolo.record.journal import replace_file
from studiolo.training.checkpoint import Checkpoints
from studiolo.training.recipe import Recipe

FOLDER = "training"
RATES = "rates.html"
"""What a search for rates leaves, of which a run may begin beside."""


class Workshop:
    """That of the run in ``folder``, begun now or gone on with."""

    def __init__(
        self, folder: Path, recipe: Recipe, identity: Mapping[str, str], *, resume: bool
    ) -> None:
        """``identity``: digests that must be the same for a run to be gone on with.

        Raises :class:`InvalidRequestError` if the folder holds something else, another run, or
        this one without ``resume``, or cannot be written.
        """
        self.folder, self.path = folder, folder / FOLDER
        self.log, self.report = self.path / "log.jsonl", self.path / "report.html"
        kept = self.path / "run.json"
        if kept.exists():
            self._same(read_json(kept).get("identity"), identity, resume)
        elif folder.exists() and not (folder.is_dir() and self._empty()):
            raise InvalidRequestError("out", f"{str(folder)!r} is there and is not an empty folder")
        try:
            self.checkpoints = Checkpoints(self.path / "checkpoints")
            if not kept.exists():
                value = {"identity": dict(identity), "recipe": recipe.model_dump()}
                replace_file(kept, json.dumps(value, indent=2).encode() + b"\n")
        except OSError as error:
            raise InvalidRequestError(
                "out", f"{str(folder)!r} cannot be written: {error.strerror}"
            ) from None

    def _empty(self) -> bool:
        """Whether there is nothing but what a run killed at its very beginning leaves."""
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        return all(path.name in ("run.json.part", RATES) for path in files)

    def _same(self, known: object, identity: Mapping[str, str], resume: bool) -> None:
        if not resume:
            raise InvalidRequestError(
                "out",
                f"{str(self.folder)!r} holds a run already",
                remedy="Go on with it by --resume, or name another folder.",
            )
        values = known if isinstance(known, dict) else {}
        for name, value in identity.items():
            if values.get(name) != value:
                raise InvalidRequestError(
                    "resume",
                    f"the run in {str(self.folder)!r} was begun with another {name}",
                    remedy=f"Its own recipe is in {self.path / 'run.json'}; "
                    "to train another, name another folder.",
                )
