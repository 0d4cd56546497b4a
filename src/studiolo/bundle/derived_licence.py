"""The licence of what is made of several things: the most restrictive of theirs.

Known names (SPDX identifiers) stand in classes, each more restrictive than the one before: public
domain, permissive, share-alike, non-commercial; then terms of somebody's own, then none known.
Two that cannot both be kept are an error: different share-alike licences, and share-alike with
non-commercial or with terms of somebody's own. Within a class the order is that of the list.
Knows names; it is no legal advice.
"""

from __future__ import annotations

from collections.abc import Mapping

from studiolo.errors import InvalidRequestError

UNKNOWN = "unknown"
PUBLIC, PERMISSIVE, SHARE_ALIKE, NON_COMMERCIAL, OWN, NONE = range(6)
CLASSES: Mapping[int, tuple[str, ...]] = {
    PUBLIC: ("CC0-1.0", "Unlicense", "PDDL-1.0", "public domain"),
    PERMISSIVE: (
        *("0BSD", "MIT", "ISC", "BSD-2-Clause", "BSD-3-Clause", "PSF-2.0", "Python-2.0"),
        *("Apache-2.0", "ODC-By-1.0", "CC-BY-3.0", "CC-BY-4.0"),
    ),
    SHARE_ALIKE: (
        *("MPL-2.0", "LGPL-2.1-or-later", "LGPL-3.0-or-later", "ODbL-1.0", "CC-BY-SA-3.0"),
        *("CC-BY-SA-4.0", "GFDL-1.3-or-later", "GPL-2.0-only", "GPL-2.0-or-later"),
        *("GPL-3.0-only", "GPL-3.0-or-later", "AGPL-3.0-only", "AGPL-3.0-or-later"),
    ),
    NON_COMMERCIAL: ("CC-BY-NC-4.0", "CC-BY-NC-SA-4.0", "CC-BY-NC-ND-4.0"),
}
_PLACES = {
    name.lower(): (kind, place)
    for kind, names in CLASSES.items()
    for place, name in enumerate(names)
}


def place_of(licence: str) -> tuple[int, int]:
    """Its class and its place there; greater is more restrictive."""
    if licence.lower() == UNKNOWN:
        return NONE, 0
    return _PLACES.get(licence.lower(), (OWN, 0))


def derived(licences: Mapping[str, str]) -> str:
    """The licence of what is made of all of these, by what has each; ``unknown`` of nothing.

    Raises :class:`InvalidRequestError`, naming both, for two that cannot both be kept.
    """
    ordered = sorted(licences.items(), key=lambda item: (*place_of(item[1]), item[1].lower()))
    for i, (name, licence) in enumerate(ordered):
        for other, its in ordered[i + 1 :]:
            if _conflict(licence, its):
                raise InvalidRequestError(
                    "licence",
                    f"{name} comes under {licence} and {other} under {its}, and nothing that is "
                    "made of both can keep both",
                    remedy="Leave one of them out; or, if this is a mistake, name the data's own "
                    "licence by data.licence.",
                )
    return ordered[-1][1] if ordered else UNKNOWN


def _conflict(one: str, other: str) -> bool:
    (low, _), (high, _) = sorted([place_of(one), place_of(other)])
    if low == high == SHARE_ALIKE or low == high == OWN:
        return one.lower() != other.lower()
    return low == SHARE_ALIKE and high in (NON_COMMERCIAL, OWN)
