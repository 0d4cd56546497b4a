"""What a model comes from: its parents, their parents, and what each has read.

``bundle.json`` names parents by digest; who that is, is found among the bundles that are here. A
parent that is not here is known by its digest alone. Knows manifests; opens no weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from studiolo.bundle.manifest import BundleManifest
from studiolo.errors import MalformedFileError

DEEPEST = 64


@dataclass(frozen=True)
class Ancestry:
    """A model and those before it. ``manifest`` is None for one that is not here."""

    digest: str
    manifest: BundleManifest | None
    parents: tuple[Ancestry, ...] = ()

    @property
    def name(self) -> str:
        """As people call it, or the beginning of its digest."""
        return self.digest[:12] if self.manifest is None else self.manifest.name

    def all(self) -> Iterator[Ancestry]:
        """It and all before it, as often as they occur."""
        yield self
        for parent in self.parents:
            yield from parent.all()

    def values(self) -> dict[str, object]:
        """As JSON can hold it."""
        known = self.manifest
        if known is None:
            return {"digest": self.digest, "here": False}
        return {
            "name": known.name,
            "digest": self.digest,
            "here": True,
            "family": known.family,
            "licence": known.licence,
            "data": list(known.lineage.data),
            "recipe": known.lineage.recipe,
            "parents": [parent.values() for parent in self.parents],
        }


def ancestry(manifest: BundleManifest, known: Mapping[str, BundleManifest]) -> Ancestry:
    """Of ``manifest``, among the ``known`` by digest.

    Raises :class:`MalformedFileError` if it is said to come from itself, or through more than
    :data:`DEEPEST` generations, which no digest of what is there can be.
    """
    return _of(manifest.digest, {**known, manifest.digest: manifest}, ())


def _of(digest: str, known: Mapping[str, BundleManifest], after: tuple[str, ...]) -> Ancestry:
    manifest = known.get(digest)
    if manifest is None:
        return Ancestry(digest, None)
    if digest in after or len(after) >= DEEPEST:
        what = "from itself" if digest in after else f"through more than {DEEPEST} generations"
        raise MalformedFileError(
            f"{manifest.name}: its bundle.json says that it comes {what}",
            remedy="The file has been changed; train the model again, or fetch it again.",
        )
    parents = (_of(each, known, (*after, digest)) for each in manifest.lineage.parents)
    return Ancestry(digest, manifest, tuple(parents))
