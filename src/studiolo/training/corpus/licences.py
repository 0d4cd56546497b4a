"""The licence of a corpus: the most restrictive of all documents that are kept.

Looked at twice: before anything is read, as far as the recipe shows it, and when all is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from studiolo.bundle.derived_licence import derived
from studiolo.errors import InvalidRequestError
from studiolo.training.corpus.document import Document, Dropped
from studiolo.training.corpus.recipe import CorpusRecipe
from studiolo.training.corpus.steps.licence import licence
from studiolo.training.corpus.tally import Tally


def check_licences(recipe: CorpusRecipe) -> None:
    """Conflicts that show before hours of work: between sources that are let in whole.

    Raises :class:`InvalidRequestError`, naming both.
    """
    kept = {}
    for source in recipe.sources:
        rules = recipe.steps_of(source, "text").licence
        any_of_it = Document("", source.name, "", source.licence)
        dropped = rules.apply and isinstance(licence(any_of_it, rules), Dropped)
        if source.licence_field is None and not dropped:
            kept[f"the source {source.name}"] = source.licence
    _derived(kept)


def licence_of(recipe: CorpusRecipe, tallies: Sequence[Tally]) -> str:
    """The most restrictive of all that is kept of each source; raises as :func:`check_licences`."""
    kept = {}
    for source, tally in zip(recipe.sources, tallies, strict=True):
        for own, count in sorted(tally.licences.items()):
            kept[f"{count:,} documents of the source {source.name} ({own})"] = own
    return _derived(kept)


def _derived(kept: Mapping[str, str]) -> str:
    try:
        return derived(kept)
    except InvalidRequestError as error:
        raise InvalidRequestError(
            "licence",
            error.message.removeprefix("licence: "),
            remedy="Leave one of them out by steps.licence.deny; or, if this is a mistake, correct "
            "the licence of the source.",
        ) from None
