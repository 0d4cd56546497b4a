"""What an index was made with, and must be made and asked with ever after.

One small file beside the tables. Vectors of two encoders, or passages cut in two ways, in one index
would be compared without a word, so that whoever comes with others is refused. Deliberately unknown
here: the tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from studiolo.errors import InvalidRequestError, MalformedFileError
from studiolo.record.journal import replace_file
from studiolo.retrieval.chunking import Chunking, Way
from studiolo.retrieval.embedder import Embedder

NAME = "index.json"
FORMAT = 1
"""Raised whenever readers or the cutting change, so that old passages are not mixed with new."""
_LARGEST = 1 << 16


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    format: int
    encoder: str
    encoder_digest: str
    width: int = Field(ge=1, le=65_536)
    way: Way
    size: int
    overlap: int
    parent: int


@dataclass(frozen=True)
class Settings:
    """``encoder``: its name, for people; ``digest``: of its weights; ``width``: of its vectors."""

    encoder: str
    digest: str
    width: int
    chunking: Chunking

    @classmethod
    def of(cls, embedder: Embedder, chunking: Chunking) -> Self:
        """For a new index."""
        return cls(embedder.name, embedder.digest, embedder.width, chunking)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Those of the index in ``folder``; raises :class:`MalformedFileError`."""
        path = folder / NAME
        try:
            with path.open("rb") as file:
                said = _File.model_validate_json(file.read(_LARGEST))
            if said.format != FORMAT:
                raise ValueError(f"its format is {said.format}, and this version's is {FORMAT}")
            chunking = Chunking(said.way, said.size, said.overlap, said.parent)
        except (OSError, ValueError, ValidationError, InvalidRequestError) as error:
            why = " ".join(str(error).split())
            raise MalformedFileError(
                f"{path}: the index cannot be read: {why:.300}",
                remedy="Remove it with `studiolo index --remove --name NAME`, and index again.",
            ) from None
        return cls(said.encoder, said.encoder_digest, said.width, chunking)

    def write(self, folder: Path) -> None:
        """As one file, whole or not at all."""
        said = _File(
            format=FORMAT,
            encoder=self.encoder,
            encoder_digest=self.digest,
            width=self.width,
            way=self.chunking.way,
            size=self.chunking.size,
            overlap=self.chunking.overlap,
            parent=self.chunking.parent,
        )
        replace_file(folder / NAME, (said.model_dump_json(indent=2) + "\n").encode())

    def check(self, embedder: Embedder) -> None:
        """Raise :class:`InvalidRequestError` for another encoder than the index's own."""
        if embedder.digest != self.digest or embedder.width != self.width:
            raise InvalidRequestError(
                "model",
                f"the index was made with {self.encoder} ({self.digest[:12]}), and this is "
                f"{embedder.name} ({embedder.digest[:12]})",
                remedy="Use that one, or index the folder again under another name.",
            )
