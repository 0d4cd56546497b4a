"""The gate for models whose terms the user must accept, and the record of having done so.

``STUDIOLO_HOME/licences.json`` holds, by model: when, which licence, and the terms as
they read then. Terms that have changed since must be accepted anew.
"""

from __future__ import annotations

import datetime
import json
import os
from pathlib import Path

from studiolo.bundle import store
from studiolo.bundle.catalogue import Offer
from studiolo.errors import LicenceNotAcceptedError, MalformedFileError


def check(offer: Offer, accept: bool) -> None:
    """Pass if ``offer`` has no terms, or they were accepted before, or ``accept`` says so now.

    Raises :class:`LicenceNotAcceptedError` with the terms otherwise.
    """
    if offer.terms is None:
        return
    with store.lock("licences.json"):
        path = store.home() / "licences.json"
        record = _read(path)
        terms = offer.terms.model_dump()
        known = record.get(offer.name)
        if isinstance(known, dict) and known.get("terms") == terms:
            return
        if not accept:
            raise LicenceNotAcceptedError(
                f"{offer.name} comes under the {offer.licence}: {offer.terms.summary}\n"
                f"They stand at {offer.terms.url}",
                remedy=f"To accept them: studiolo pull {offer.name} --accept-licence",
            )
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        record[offer.name] = {"accepted": now, "licence": offer.licence, "terms": terms}
        write_durably(path, json.dumps(record, indent=2, ensure_ascii=False) + "\n")


def _read(path: Path) -> dict[str, object]:
    try:
        record = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise MalformedFileError(f"{path}: {error}", remedy="Mend it or delete it.") from None
    if not isinstance(record, dict):
        raise MalformedFileError(f"{path}: no JSON object", remedy="Mend it or delete it.")
    return record


def write_durably(path: Path, text: str) -> None:
    """Write ``path`` so that it is there in full or, if the machine stops, as it was before.

    The caller holds a lock, so that one fixed name serves for the new file until then.
    """
    new = path.with_name(path.name + ".part")
    with new.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
