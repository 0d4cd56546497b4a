"""What can be asked for: a name, the hub, a path or a web address, told apart by its look.

``hf:owner/name`` and ``hf:owner/name/file.gguf`` are the hub; ``https:`` is a web address;
anything with a slash, a leading dot or tilde, or a ``.gguf`` ending is a path (``file:``
before it makes that plain); the rest is a name. Outside the catalogue nobody has pinned
the files beforehand, so :func:`offer` makes an offer of what lies there.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import ValidationError

from studiolo.bundle import store
from studiolo.bundle.catalogue import DirectorySource, FileSource, Offer, Source, UrlSource, Wanted
from studiolo.bundle.manifest import checked_name, plainly
from studiolo.bundle.sources import hub
from studiolo.errors import InvalidRequestError, SourceError


def is_name(what: str) -> bool:
    """Whether ``what`` is a name: neither a path nor an address."""
    return not store.looks_like_path(what) and not what.startswith(("hf:", "https:", "http:"))


def own_name(what: str) -> str:
    """The name under which ``what`` is installed unless another is given.

    Raises :class:`InvalidRequestError` if no name can be made of it.
    """
    if what.startswith(("https:", "http:")):
        return checked_name(_last(what).removesuffix(".gguf"))
    if store.looks_like_path(what):
        return checked_name(store.as_path(what).name.removesuffix(".gguf"))
    return store.installed_name(what)


def _last(url: str) -> str:
    """The last step of a web address's path."""
    try:
        return Path(unquote(urlsplit(url).path)).name
    except ValueError:
        raise InvalidRequestError("name", f"{url!r} is not a web address") from None


def where(what: str) -> str:
    """The label of the source behind an address outside the catalogue."""
    if what.startswith("hf:"):
        repository = "/".join(what.removeprefix("hf:").split("/")[:2])
        return f"the hub ({repository})"
    return (
        UrlSource(url=what).label
        if what.startswith(("https:", "http:"))
        else str(store.as_path(what))
    )


def local(what: str) -> store.Bundle:
    """The model that lies at the path ``what``; raises :class:`SourceError` if none does."""
    there = store.as_path(what)
    bundle = store.open_path(there)
    if bundle is not None:
        return bundle
    if there.exists():
        message = f"{there} is neither a GGUF file nor a folder with a config.json"
    else:
        message = f"there is nothing at {there}"
    # What begins with a dot or a tilde is meant as a path and nothing else.
    on_the_hub = re.fullmatch(r"\w[\w.-]*/[\w.-]+", what) is not None
    raise SourceError(
        message,
        remedy=f"If you meant the hub: studiolo pull hf:{what}"
        if on_the_hub
        else "A model's path is that of a .gguf file, or of a folder that holds one or a "
        "config.json.",
    )


def offer(what: str, name: str) -> Offer:
    """What lies behind an address outside the catalogue, to be installed as ``name``.

    Raises :class:`SourceError` when there is no model there, and
    :class:`InvalidRequestError` when it cannot be an address.
    """
    try:
        return _offer(what, name)
    except ValidationError as error:
        raise InvalidRequestError("name", f"{what!r} cannot be pulled: {plainly(error)}") from None


def _offer(what: str, name: str) -> Offer:
    if what.startswith("hf:"):
        parts = what.removeprefix("hf:").split("/")
        if len(parts) < 2 or not all(parts):
            raise InvalidRequestError(
                "name", f"{what!r} is not hf:owner/name or hf:owner/name/FILE"
            )
        return hub.offer("/".join(parts[:2]), "/".join(parts[2:]) or None, name)
    if what.startswith(("https:", "http:")):
        file = _last(what)
        if not file.lower().endswith(".gguf"):
            raise InvalidRequestError("name", f"{what} does not end in .gguf")
        return Offer(name=name, files=(Wanted(name=file),), sources=(UrlSource(url=what),))
    there = store.as_path(what)
    bundle = local(what)
    wanted = [Wanted(name=n, size=f.stat().st_size) for n, f in bundle.files.items()]
    source: Source = FileSource(path=there) if there.is_file() else DirectorySource(path=there)
    return Offer(name=name, files=tuple(wanted), sources=(source,))
